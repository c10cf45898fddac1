"""The installation that the talk shows, typed as on its slides on an empty server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest

from lab.private_server import PrivateServer

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds; a bound, not an expectation

MOVE_THE_EXAMPLE = "mv elephaas/local_settings.example.py elephaas/local_settings.py"


class Terminal:
    """A shell in a fresh copy of the project, whose PostgreSQL is an empty server."""

    def __init__(self, folder: Path, server: PrivateServer) -> None:
        self.folder = folder
        self.environment = {
            "HOME": str(folder.parent),
            "PATH": f"{Path(sys.executable).parent}:{server.binaries}:{os.defpath}",
            "LANG": "C.UTF-8",
            "DJANGO_SUPERUSER_PASSWORD": "an elephant never forgets",
            **server.environment,
        }

    def type(self, line: str) -> str:
        """Run a command line and return what it printed.

        Raises:
            CalledProcessError: when it fails.
        """
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"$ {line}\n{done.stdout}"
        return done.stdout


@pytest.fixture
def empty_server() -> Iterator[PrivateServer]:
    """A PostgreSQL server on which nothing has been made."""
    server = PrivateServer(
        Path(tempfile.mkdtemp(prefix="elephaas-")),
        durable=False,
        dies_with_parent=True,
    )
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@pytest.fixture
def terminal(tmp_path: Path, empty_server: PrivateServer) -> Terminal:
    """A terminal in an unpacked release."""
    folder = tmp_path / "elephaas"
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listing.split("\0")):
        if (CHECKOUT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, folder / name)
    return Terminal(folder, empty_server)


def free_port() -> int:
    """Return a port of loopback that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def page(browser: OpenerDirector, url: str, form: dict[str, str] | None = None) -> str:
    """Return a page, once the server answers at all."""
    data = urlencode(form).encode() if form else None
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with browser.open(url, data, timeout=PATIENCE) as answer:
                text: str = answer.read().decode()
                return text
        except URLError as error:
            refused = isinstance(error.reason, ConnectionRefusedError)
            if not refused or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def log_in(address: str) -> str:
    """Log in as a person would and return the page that follows."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))
    login = page(browser, f"{address}/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', login)
    assert token, login
    return page(
        browser,
        f"{address}/admin/login/?next=/admin/",
        {
            "username": "dba",
            "password": "an elephant never forgets",
            "csrfmiddlewaretoken": token[1],
        },
    )


def wait_for(condition: Callable[[], bool]) -> None:
    """Return as soon as something is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers_alive(server: PrivateServer) -> str:
    """Return how many workers have begun and not ended."""
    return server.psql(
        "SELECT count(*) FROM utility.ele_worker WHERE stopped_at IS NULL",
        database="admin",
    )


def group_exists(group: int) -> bool:
    """Tell whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_installation_of_the_talk_leads_to_the_admin(
    terminal: Terminal, empty_server: PrivateServer
) -> None:
    terminal.type(MOVE_THE_EXAMPLE)
    terminal.type("createdb admin")
    terminal.type("psql admin -c 'CREATE SCHEMA utility;'")
    terminal.type("python manage.py migrate")
    terminal.type(
        "python manage.py createsuperuser --noinput --username dba --email dba@lab.test"
    )
    port = free_port()
    service = subprocess.Popen(
        ["python", "manage.py", "runserver", str(port)],
        cwd=terminal.folder,
        env=terminal.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        front_page = log_in(f"http://localhost:{port}")
        wait_for(lambda: workers_alive(empty_server) == "1")
    finally:
        os.killpg(service.pid, signal.SIGINT)
        service.wait(timeout=PATIENCE)
        wait_for(lambda: not group_exists(service.pid))

    assert "Elephant Herd as a Service" in front_page
    for menu in ("System Environments", "Herds", "Servers", "Instances"):
        assert menu in front_page


def test_the_installation_works_without_making_the_schema(
    terminal: Terminal, empty_server: PrivateServer
) -> None:
    terminal.type(MOVE_THE_EXAMPLE)
    terminal.type("createdb admin")

    terminal.type("python manage.py migrate")

    schemas = empty_server.psql(
        "SELECT DISTINCT schemaname FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
        database="admin",
    )
    assert schemas == "utility"


def test_migrating_twice_changes_nothing(terminal: Terminal) -> None:
    terminal.type(MOVE_THE_EXAMPLE)
    terminal.type("createdb admin")
    terminal.type("python manage.py migrate")

    assert "No migrations to apply" in terminal.type("python manage.py migrate")


def test_without_local_settings_a_sentence_says_what_to_do(terminal: Terminal) -> None:
    said = terminal.type("! python manage.py migrate")

    assert "There are no local settings at" in said
    assert "local_settings.example.py" in said
    assert "Traceback" not in said


def test_without_a_secret_key_nothing_starts_outside_debug(terminal: Terminal) -> None:
    terminal.type(MOVE_THE_EXAMPLE)
    terminal.type("sed -i 's/^DEBUG = True/DEBUG = False/' elephaas/local_settings.py")

    said = terminal.type("! python manage.py check")

    assert "herds.E001" in said
    assert "Traceback" not in said
