"""The demonstration: one command, a page at localhost, two people who can log in."""

from __future__ import annotations

import http.cookiejar
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

from lab import Lab, LabError
from lab.demo import Demo

from .conftest import PREFIX
from .polling import eventually
from .throwaway import throwaway_lab


@pytest.fixture(scope="module")
def demo_lab() -> Iterator[Lab]:
    """A lab with the demonstration running in it, as ``make demo-up`` makes it."""
    with throwaway_lab(PREFIX, purpose="demo") as lab:
        Demo(lab, print).up()
        yield lab


class Browser:
    """One person's session with the demonstration's page."""

    def __init__(self, lab: Lab) -> None:
        facts = json.loads((lab.control.directory / "demo/facts.json").read_text())
        self.passwords: dict[str, str] = facts["passwords"]
        self.root = f"http://localhost:{facts['port']}"
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(jar)

    def get(self, path: str) -> str:
        """Return the page at ``path``."""
        with self._opener.open(self.root + path, timeout=30) as answer:
            return str(answer.read().decode())

    def log_in(self, name: str) -> str:
        """Log in with the printed password and return the front page."""
        form = self.get("/admin/login/?next=/admin/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
        assert token is not None
        fields = {
            "csrfmiddlewaretoken": token[1],
            "username": name,
            "password": self.passwords[name],
            "next": "/admin/",
        }
        data = urllib.parse.urlencode(fields).encode()
        headers = {"Referer": f"{self.root}/admin/login/"}
        request = urllib.request.Request(
            f"{self.root}/admin/login/", data=data, headers=headers
        )
        with self._opener.open(request, timeout=30) as answer:
            return str(answer.read().decode())


def manage(lab: Lab, *words: str) -> str:
    """Run manage.py on the control host and return what it prints."""
    command = lab.control.manage_command(words)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_administrator_sees_the_fleet(demo_lab: Lab) -> None:
    page = Browser(demo_lab)
    assert "Instances" in page.log_in("admin")
    instances = page.get("/admin/herds/instance/?all=")
    assert all(host in instances for host in demo_lab.state.database_hosts)


def test_the_colleague_looks_and_may_not_change(demo_lab: Lab) -> None:
    page = Browser(demo_lab)
    page.log_in("viewer")
    assert "trade" in page.get("/admin/herds/herd/")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        page.get("/admin/herds/herd/add/")


def test_the_fleet_is_as_large_as_promised(demo_lab: Lab) -> None:
    count = (
        "from herds.models import *; print(Environment.objects.count(), "
        "Herd.objects.count(), Instance.objects.filter(is_online=True).count(), "
        "Instance.objects.filter(master=None).count())"
    )
    shown = manage(demo_lab, "shell", "-v", "0", "-c", count)
    environments, herds, online, primaries = map(int, shown.split())
    assert environments == 3
    assert herds >= 4
    assert online == sum(len(herd.members) for herd in demo_lab.herds.values()) >= 12
    assert primaries == herds


def test_every_host_is_pinned_to_its_own_key(demo_lab: Lab) -> None:
    shown = manage(
        demo_lab,
        *("shell", "-v", "0", "-c"),
        "from herds.models import Server\n"
        "for s in Server.objects.all(): print(s.hostname, s.host_key)",
    )
    pinned = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert pinned == {
        host: demo_lab.host_key(host) for host in demo_lab.state.database_hosts
    }


def test_an_operation_from_the_terminal_is_done_by_the_worker(demo_lab: Lab) -> None:
    query = "select pg_postmaster_start_time()"
    herd = demo_lab.herds["orders"]
    before = {host: demo_lab.sql("orders", host, query) for host in herd.members}
    shown = manage(
        demo_lab, "operate", "restart", "--herd", "orders", "--yes", "--json"
    )
    targets = json.loads(shown)["targets"]
    assert {target["state"] for target in targets} == {"succeeded"}
    after = {host: demo_lab.sql("orders", host, query) for host in herd.members}
    assert all(after[host] > before[host] for host in herd.members)


def test_up_again_changes_nothing(demo_lab: Lab) -> None:
    said: list[str] = []
    summary = Demo(demo_lab, print).summary()
    again = Demo(demo_lab, said.append)
    again.up()
    assert "already" in said[0]
    assert again.summary() == summary


def test_up_again_brings_back_what_died(demo_lab: Lab) -> None:
    demo_lab.kill("control")
    demo_lab.boot("control")
    page = Browser(demo_lab)
    with pytest.raises(urllib.error.URLError):
        page.get("/admin/login/")
    Demo(demo_lab, print).up()
    assert "Instances" in page.log_in("admin")
    eventually(
        lambda: (
            "1"
            in manage(
                demo_lab,
                *("shell", "-v", "0", "-c"),
                "from herds.selectors.operations import workers_alive\n"
                "print(int(workers_alive().exists()))",
            )
        ),
        "a worker is alive",
    )


def test_another_port_is_refused_while_the_page_is_up(demo_lab: Lab) -> None:
    with pytest.raises(LabError, match="demo-down"):
        Demo(demo_lab, print).up(port=1)


def test_the_agent_reports_from_a_host_to_the_demonstration(demo_lab: Lab) -> None:
    host = demo_lab.state.database_hosts[0]
    done = demo_lab.exec(host, ["pgutil_report", "--once"], check=False)
    assert (done.returncode, done.stderr) == (0, "")

    shown = manage(
        demo_lab,
        *("shell", "-v", "0", "-c"),
        "from herds.models import Instance\n"
        f"print(set(Instance.objects.filter(server__hostname='{host}')"
        ".values_list('observed_by', flat=True)))",
    )
    assert shown.strip() == "{'agent'}"
