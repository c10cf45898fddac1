"""The packages, installed into a clean Debian 12, serve and work as their units say."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Lab
from lab.private_server import PrivateServer
from tests.docs.pages import ROOT, commands
from tests.lab.clean_root import CleanRoot, is_root, unit
from tests.lab.product import until
from tools.package import built

PAGE = ROOT / "docs" / "packages.md"
BACKUP = ROOT / "docs" / "backup.md"
DATABASE = "admin"
NAME = "elephaas.example.com"
MANAGE = "/usr/sbin/elephaas-manage"

ASK = """
import sys, urllib.request
asked = urllib.request.Request(
    "http://127.0.0.1:8000" + sys.argv[1],
    headers={"Host": sys.argv[2], "X-Forwarded-Proto": sys.argv[3]},
)
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None
try:
    answer = urllib.request.build_opener(Stay).open(asked, timeout=20)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status)
print(answer.headers)
print(answer.read().decode())
"""


@pytest.fixture(scope="module")
def packages() -> dict[str, Path]:
    """The packages of this checkout, by name."""
    if not is_root():
        pytest.skip("a clean root needs root")
    if not shutil.which("dpkg-buildpackage") or not shutil.which("mmdebstrap"):
        pytest.skip("dpkg-dev, debhelper or mmdebstrap is not installed")
    return {path.name.partition("_")[0]: path for path in built("deb")}


@pytest.fixture(scope="module")
def metadata() -> Iterator[PrivateServer]:
    """A server that lets the user of the service in through its socket."""
    server = PrivateServer(
        Path(tempfile.mkdtemp(prefix="elephaas-lab-", dir="/var/tmp")),
        durable=False,
        dies_with_parent=True,
        shared=True,
    )
    try:
        server.start()
        for line in commands(PAGE):
            if line.startswith("runuser "):
                typed = line.removeprefix("runuser -u postgres -- ")
                subprocess.run(
                    [server.binaries / typed.split()[0], *shlex.split(typed)[1:]],
                    env=server.environment,
                    check=True,
                )
        yield server
    finally:
        server.destroy()


@pytest.fixture(scope="module")
def root(
    packages: dict[str, Path], product_lab: Lab, metadata: PrivateServer
) -> Iterator[CleanRoot]:
    """A clean root with the packages, configured for the lab, and its tables made."""
    root = CleanRoot(product_lab, metadata.directory)
    try:
        said = root.install(packages["elephaas"])
        assert "is installed and not started" in said
        root.install(packages["pgutil-report"])
        configure(root, product_lab, metadata)
        root.run([MANAGE, "migrate", "--verbosity", "0"])
        yield root
    finally:
        root.close()


def configure(root: CleanRoot, lab: Lab, metadata: PrivateServer) -> None:
    """Edit the settings as a person does, and give the service the lab's key."""
    file = "/etc/elephaas/settings.py"
    text = root.run(["cat", file])
    for old, new in (
        (
            '"USER": "elephaas"',
            f'"USER": "elephaas", "PORT": "{metadata.port}"',
        ),
        ('"/run/postgresql"', repr(str(metadata.directory))),
        ("[socket.getfqdn()]", repr([NAME])),
    ):
        assert text.count(old) >= 1
        text = text.replace(old, new)
    root.write(file, text)
    key = "/var/lib/elephaas/.ssh/id_ed25519"
    root.write(key, lab.ssh_key.read_text())
    root.write(f"{key}.pub", lab.ssh_key.with_suffix(".pub").read_text())


def started(root: CleanRoot, name: str) -> list[str]:
    """Give the command line by which a service is started as its unit says."""
    said = unit(root.run(["cat", f"/lib/systemd/system/{name}.service"]))
    (start,), (user,) = said["ExecStart"], said["User"]
    (directory,) = said["WorkingDirectory"]
    environment = dict(each.split("=", 1) for each in said["Environment"])
    return root.command(
        shlex.split(start), user=user, environment=environment, directory=directory
    )


@contextmanager
def running(root: CleanRoot, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service as its unit says, until the block is left."""
    said = unit(root.run(["cat", f"/lib/systemd/system/{name}.service"]))
    assert said["Restart"] == ["always"]
    service = subprocess.Popen(started(root, name), stdin=subprocess.DEVNULL)
    try:
        yield service
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(timeout=60)


def ask(root: CleanRoot, path: str, over: str = "https") -> str:
    return root.run(["python3", "-c", ASK, path, NAME, over])


def answers(root: CleanRoot) -> bool:
    done = subprocess.run(
        root.command(["python3", "-c", ASK, "/admin/login/", NAME, "https"]),
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def test_the_service_is_its_own_user_with_closed_secrets(root: CleanRoot) -> None:
    assert_closed(root)
    assert "/usr/sbin/nologin" in root.run(["getent", "passwd", "elephaas"])


def assert_closed(root: CleanRoot) -> None:
    """See that nobody but root and the service reads its secrets."""
    shown = root.run(
        [
            *("stat", "-c", "%U:%G %a %n"),
            *("/etc/elephaas/secret_key", "/etc/elephaas/settings.py"),
            *("/var/lib/elephaas/.ssh", "/var/lib/elephaas/.ssh/id_ed25519"),
        ]
    )

    assert shown.split("\n")[:4] == [
        "root:elephaas 640 /etc/elephaas/secret_key",
        "root:elephaas 640 /etc/elephaas/settings.py",
        "elephaas:elephaas 700 /var/lib/elephaas/.ssh",
        "elephaas:elephaas 600 /var/lib/elephaas/.ssh/id_ed25519",
    ]


def test_the_settings_as_installed_are_fit_for_a_service(root: CleanRoot) -> None:
    shown = root.run([MANAGE, "check", "--deploy", "--fail-level", "WARNING"])

    assert "System check identified no issues" in shown + root.complaint


def test_the_wrapper_becomes_the_user_of_the_service(root: CleanRoot) -> None:
    who = "import getpass, os; print(getpass.getuser(), os.geteuid() != 0)"
    assert "elephaas True" in root.run([MANAGE, "shell", "-v", "0", "-c", who])
    root.run(["setpriv", "--reuid=65534", "--clear-groups", MANAGE, "check"], status=1)
    assert "this takes root" in root.complaint


def test_the_service_works_on_hosts_of_the_lab(
    root: CleanRoot, product_lab: Lab, metadata: PrivateServer
) -> None:
    herd = product_lab.herds["orders"]
    members = herd.members
    root.write(
        "/var/tmp/fleet.csv",
        "environment,herd,port,pgdata,host,upstream\n"
        + "".join(
            f"dev,orders,{herd.port},{herd.data_root},"
            f"{host},{members[0] if host != members[0] else ''}\n"
            for host in members
        ),
    )
    root.write(
        "/var/tmp/known_hosts",
        "".join(f"{host} {product_lab.host_key(host)}\n" for host in members),
    )
    asked = "select pg_postmaster_start_time()"
    before = {host: product_lab.sql("orders", host, asked) for host in members}

    with running(root, "elephaas-web"), running(root, "elephaas-worker") as worker:
        until(lambda: answers(root), 60, "the pages answer")
        page = ask(root, "/admin/login/")
        style = re.search(r'href="(/static/[^"]+\.css)"', page)
        assert style, page
        sheet = ask(root, style[1])
        bare = ask(root, "/admin/login/", over="http")
        balanced = ask(root, "/healthz", over="http")
        made = root.run(
            [
                *(MANAGE, "import_fleet", "/var/tmp/fleet.csv"),
                *("--known-hosts", "/var/tmp/known_hosts"),
            ]
        )
        until(
            lambda: (
                "t"
                in metadata.psql(
                    "SELECT count(*) > 0 FROM utility.ele_worker", database=DATABASE
                )
            ),
            60,
            "the worker begins",
        )
        root.run([MANAGE, "operate", "refresh", "--all", "--yes", "--json"])
        done = root.run(
            [MANAGE, "operate", "restart", "--herd", "orders", "--yes", "--json"]
        )
        health = root.run([MANAGE, "doctor"])
    assert "Strict-Transport-Security: max-age=31536000; includeSubDomains" in page
    assert "Elephant Herd as a Service" in page
    assert bare.startswith("301")
    assert balanced.startswith("200")
    assert f"https://{NAME}/admin/login/" in bare
    assert sheet.startswith("200")
    assert f"{len(members)} instances" in made
    targets = json.loads(done)["targets"]
    assert {each["state"] for each in targets} == {"succeeded"}
    after = {host: product_lab.sql("orders", host, asked) for host in members}
    assert all(after[host] > before[host] for host in members)
    assert "All is fine." in health, health
    assert worker.returncode == 0


def test_what_is_too_old_is_deleted_by_a_unit_that_a_timer_starts(
    root: CleanRoot,
) -> None:
    timer = root.run(["cat", "/lib/systemd/system/elephaas-prune.timer"])
    done = subprocess.run(
        started(root, "elephaas-prune"), capture_output=True, check=True, text=True
    )

    assert "OnCalendar=daily" in timer
    assert "audit entries older than" in done.stdout


def test_the_agent_is_on_the_path(root: CleanRoot) -> None:
    assert "--once" in root.run(["pgutil_report", "--help"])
    files = root.run(["dpkg", "--listfiles", "pgutil-report"])
    assert "/lib/systemd/system/pgutil_report.timer" in files
    assert "/etc/pgutil_report.ini" in files


def test_an_upgrade_keeps_what_people_changed_and_changes_no_tables(
    root: CleanRoot, packages: dict[str, Path], metadata: PrivateServer
) -> None:
    files = ("/etc/elephaas/settings.py", "/etc/elephaas/secret_key")
    before = root.run(["sha256sum", *files])
    # As if the new release had brought a migration.
    name, _, applied = metadata.psql(
        "DELETE FROM utility.django_migrations WHERE id = (SELECT max(id) FROM"
        " utility.django_migrations WHERE app = 'herds') RETURNING name, applied",
        database=DATABASE,
    ).partition("|")

    try:
        said = root.install(packages["elephaas"])
        root.run([MANAGE, "migrate", "--check"], status=1)
    finally:
        metadata.psql(
            "INSERT INTO utility.django_migrations (app, name, applied) VALUES"
            f" ('herds', '{name.strip()}', '{applied.strip()}')",
            database=DATABASE,
        )

    assert "elephaas-manage migrate && systemctl restart" in said
    assert root.run(["sha256sum", *files]) == before
    assert NAME in root.run(["cat", files[0]])


def test_files_of_a_backup_come_back_as_they_were(root: CleanRoot) -> None:
    save, restore = (line for line in commands(BACKUP) if line.startswith("tar "))
    files = ("/etc/elephaas/settings.py", "/var/lib/elephaas/.ssh/id_ed25519")
    facts = ["stat", "-c", "%U %a %s %n", *files]
    before = root.run(facts)

    root.run(["sh", "-c", f"cd /var/tmp && {save}"])
    root.run(["rm", *files])
    root.run(["sh", "-c", f"cd /var/tmp && {restore}"])

    assert root.run(facts) == before


def test_the_rpms_bring_the_same(packages: dict[str, Path]) -> None:
    if not shutil.which("rpmbuild"):
        pytest.skip("rpm is not installed")
    for rpm in built("rpm"):
        name = rpm.name.partition("-2")[0]
        brought = listed(["rpm", "-qpl", "--nodigest", str(rpm)])
        there = listed(["dpkg-deb", "-c", str(packages[name])])
        different = {
            path
            for path in brought ^ there
            if not path.startswith(("/usr/share/doc/", "/usr/share/lintian"))
        }
        assert different <= {"/etc/cron.d/pgutil_report"}


def test_the_rpms_install_serve_and_go(
    product_lab: Lab, metadata: PrivateServer
) -> None:
    if not is_root() or not shutil.which("rpmbuild") or not shutil.which("mmdebstrap"):
        pytest.skip("root, rpm or mmdebstrap is missing")
    # Debian's Python stands in for that of the system the packages are built for.
    root = CleanRoot(product_lab, metadata.directory)
    try:
        said = root.rpm("--install", *map(str, built("rpm")))
        assert "is installed and not started" in said
        assert_closed(root)
        configure(root, product_lab, metadata)
        root.run([MANAGE, "migrate", "--verbosity", "0"])
        with running(root, "elephaas-web"), running(root, "elephaas-worker") as worker:
            until(lambda: answers(root), 60, "the pages answer")
            root.run([MANAGE, "check", "--deploy", "--fail-level", "WARNING"])
        assert worker.returncode == 0
        assert "--once" in root.run(["pgutil_report", "--help"])

        root.rpm("--erase", "elephaas", "pgutil-report")

        root.run(["test", "-e", "/usr/lib/elephaas"], status=1)
        root.run(["test", "-e", "/usr/bin/pgutil_report"], status=1)
        # What a person wrote, and the keys, are theirs to delete.
        assert NAME in root.run(["cat", "/etc/elephaas/settings.py.rpmsave"])
        root.run(["test", "-s", "/var/lib/elephaas/.ssh/id_ed25519"])
    finally:
        root.close()


def listed(command: list[str]) -> set[str]:
    """Give the files that a package brings, without directories."""
    lines = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    paths = [line.partition(" -> ")[0].split()[-1].lstrip(".") for line in lines]
    # Debian of this release has units outside of /usr.
    found = {re.sub("^/lib/systemd", "/usr/lib/systemd", path) for path in paths}
    # It compresses manual pages, too.
    found = {re.sub(r"^(/usr/share/man/.*)\.gz$", r"\1", path) for path in found}
    folders = {str(parent) for path in found for parent in Path(path).parents}
    return {path for path in found - folders if not path.endswith("/")}


def test_purging_takes_the_key_along(root: CleanRoot) -> None:
    root.run(["dpkg", "--purge", "elephaas"])

    root.run(["test", "-e", "/var/lib/elephaas/.ssh"], status=1)
    root.run(["test", "-e", "/usr/lib/elephaas"], status=1)
    root.run(["test", "-e", "/etc/elephaas"], status=1)
