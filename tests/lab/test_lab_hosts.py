"""Hosts look like hosts: own name, files, sshd and DNS, and no way out of them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from lab import Lab, LabError
from lab.control import ManageHook

from .polling import eventually

PROJECT = Path(__file__).parent.parent.parent


def command(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m lab …`` as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "lab", "--name", lab.name, *words],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_status_has_the_promised_shape(lab: Lab) -> None:
    version = lab.sql("trade", "ele01", "show server_version").split()[0]
    seen = json.loads(command(lab, "status", "--json").stdout)
    assert list(seen) == ["control", "dns", "domain", "hosts", "herds"]
    assert (seen["control"], seen["dns"], seen["domain"]) == (
        "control",
        "dns",
        "lab.test",
    )
    assert list(seen["hosts"]) == ["control", "dns", "ele01", "ele02", "ele03", "ele04"]
    assert seen["hosts"]["ele02"] == {
        "address": lab.hosts["ele02"].address,
        "up": True,
    }
    assert seen["herds"]["trade"] == {
        "environment": "prod",
        "vhost": "trade.lab.test",
        "port": 5432,
        "data_root": "/var/lib/postgresql/15/trade",
        "packaging": "debian",
        "members": ["ele01", "ele02", "ele03"],
        "primary": "ele01",
        "versions": dict.fromkeys(["ele01", "ele02", "ele03"], version),
    }


def test_exec_passes_user_words_and_status_through(lab: Lab) -> None:
    said = command(lab, "exec", "ele02", "-u", "postgres", "--", "id", "-un")
    assert (said.returncode, said.stdout) == (0, "postgres\n")
    said = command(lab, "exec", "ele02", "--", "sh", "-c", "hostname; exit 7")
    assert (said.returncode, said.stdout) == (7, "ele02\n")


def test_exec_on_an_unknown_host_names_the_known_ones(lab: Lab) -> None:
    said = command(lab, "exec", "ele99", "--", "true")
    assert said.returncode == 1
    assert "no host ele99" in said.stderr
    assert "ele04" in said.stderr


def test_ssh_logs_in_as_postgres_with_the_labs_key(lab: Lab) -> None:
    said = command(lab, "ssh", "ele03", "id -un; hostname; echo $SSH_CLIENT")
    user, host, client = said.stdout.splitlines()
    assert (user, host) == ("postgres", "ele03")
    assert client.split()[0] == lab.hosts["control"].address


def test_hosts_log_in_to_each_other(lab: Lab) -> None:
    said = lab.exec(
        "ele01", ["ssh", "-oBatchMode=yes", "ele02", "hostname"], user="postgres"
    )
    assert said.stdout == "ele02\n"


def test_the_host_key_is_the_one_that_sshd_shows(lab: Lab) -> None:
    shown = lab.exec("control", ["ssh-keyscan", "-t", "ed25519", "ele04"]).stdout
    keys = {line.split(maxsplit=1)[1] for line in shown.splitlines() if line[0] != "#"}
    assert keys == {lab.host_key("ele04")}
    assert lab.host_key("ele04") != lab.host_key("ele03")


def test_a_host_cannot_write_to_the_machine(lab: Lab) -> None:
    for path in ("/usr/written-by-a-host", f"{PROJECT}/written-by-a-host"):
        with pytest.raises(LabError, match="Read-only file system"):
            lab.exec("ele01", ["touch", path])
    lab.exec("ele01", ["touch", "/etc/written-by-a-host", "/tmp/written-by-a-host"])
    for path in ("/etc/written-by-a-host", "/tmp/written-by-a-host"):
        assert not Path(path).exists()
        assert lab.exec("ele02", ["test", "-e", path], check=False).returncode == 1


def test_a_host_sees_its_own_processes_only(lab: Lab) -> None:
    seen = lab.exec("ele01", ["ps", "-eo", "args"]).stdout
    assert f"elephaas-lab {lab.name} ele01" in seen
    assert f"elephaas-lab {lab.name} ele02" not in seen
    assert "pytest" not in seen


def test_orphans_on_a_host_are_reaped(lab: Lab) -> None:
    lab.exec("ele01", ["sh", "-c", "(sleep 0.1 & exec true) & wait"])
    eventually(
        lambda: "defunct" not in lab.exec("ele01", ["ps", "-eo", "args"]).stdout,
        "no zombies",
    )


def test_names_are_answered_by_the_labs_server(lab: Lab) -> None:
    ask = ["dig", "+short", f"trade.{lab.domain}"]
    assert lab.exec("ele04", ask).stdout.split() == [
        f"ele01.{lab.domain}.",
        lab.hosts["ele01"].address,
    ]


def update(lab: Lab, *options: str) -> subprocess.CompletedProcess[str]:
    """Ask the name server to move a name, on the control host."""
    request = (
        "server dns\n"
        f"update delete moved.{lab.domain} CNAME\n"
        f"update add moved.{lab.domain} 5 CNAME ele03.{lab.domain}\n"
        "send\n"
    )
    return lab.exec("control", ["nsupdate", *options], stdin=request, check=False)


def test_only_signed_changes_of_names_are_taken(lab: Lab) -> None:
    ask = ["dig", "+short", f"moved.{lab.domain}", "CNAME"]
    refused = update(lab)
    assert "REFUSED" in refused.stderr
    assert lab.exec("ele01", ask).stdout == ""
    signed = update(lab, "-k", str(lab.dns_key))
    assert signed.returncode == 0, signed.stderr
    assert lab.exec("ele01", ask).stdout == f"ele03.{lab.domain}.\n"


def test_changed_names_survive_a_power_cut_of_the_server(breakable: Lab) -> None:
    assert update(breakable, "-k", str(breakable.dns_key)).returncode == 0
    breakable.kill("dns")
    breakable.boot("dns")
    ask = ["dig", "+short", f"moved.{breakable.domain}", "CNAME"]
    assert breakable.exec("ele01", ask).stdout == f"ele03.{breakable.domain}.\n"


def test_a_thread_can_live_on_a_host_while_others_do_not(lab: Lab) -> None:
    home = socket.gethostname()
    here = os.getcwd()
    elsewhere: list[str] = []
    with lab.inside("control"):
        assert socket.gethostname() == "control"
        assert socket.gethostbyname("ele02") == lab.hosts["ele02"].address
        assert os.getcwd() == here
        started_inside = threading.Thread(
            target=lambda: elsewhere.append(socket.gethostname())
        )
        started_inside.start()
        started_inside.join()
    assert elsewhere == ["control"]
    assert socket.gethostname() == home
    assert os.getcwd() == here


SERVER = """
import http.server, socket, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        found = socket.gethostname(), socket.gethostbyname("ele01")
        self.wfile.write(" ".join(found).encode())
server = http.server.HTTPServer(("", 0), Answer, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=int(sys.argv[1]))
server.handle_request()
"""


def test_a_page_served_on_control_is_seen_at_localhost(
    lab: Lab, tmp_path: Path
) -> None:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    argv = [sys.executable, "-c", SERVER, "{socket}"]
    log = tmp_path / "log"
    with (
        lab.control.serve_command(argv, port=port, log=log) as program,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer,
    ):
        assert answer.read().decode() == f"control {lab.hosts['ele01'].address}"
        assert program.wait(timeout=20) == 0


def test_a_taken_port_is_named(lab: Lab, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LabError, match=f"Port {port} .* is taken"):
            lab.control.serve_command(["true"], port=port, log=tmp_path / "log")


def test_manage_runs_what_was_recorded_on_control(lab: Lab) -> None:
    said = command(lab, "manage", "check", "--deploy")
    assert said.returncode == 1
    assert "demo-up" in said.stderr
    hook = ManageHook(
        argv=("sh", "-c", 'hostname; pwd; echo "$SETTING" "$@"', "sh"),
        environment={"SETTING": "a b"},
        directory="/usr",
        user="root",
    )
    lab.control.set_manage(hook)
    said = command(lab, "manage", "check", "--json", "--name", "x y")
    assert said.stdout == "control\n/usr\na b check --json --name x y\n"
