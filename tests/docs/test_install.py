"""The installation for real, typed as ``docs/install.md`` shows it."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

from lab.private_server import PrivateServer
from tests.db.test_talk import MOVE_THE_EXAMPLE, PATIENCE, Terminal, free_port
from tests.docs.pages import ROOT, blocks, commands

PAGE = ROOT / "docs" / "install.md"
NAME = "elephaas.example.com"
SERVICES = ("gunicorn ", "python manage.py worker")

# What a person answers, or decides, where a test cannot be asked.
ANSWERS = {
    "python manage.py createsuperuser": (
        " --noinput --username dba --email dba@example.com"
    ),
}


def edit_settings(file: Path, public_key: Path) -> None:
    """Change the local settings as the page says, with a key and a secret in them."""
    advice, *_ = blocks(PAGE, "python")
    changes = dict(re.findall(r"^([A-Z_]+) = (.*?)(?: {4}#.*)?$", advice, re.M))
    assert set(changes) == {"DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "PUBLIC_KEY"}
    changes["SECRET_KEY"] = '"of the tests, and long enough to be taken for a key: 42!"'
    changes["PUBLIC_KEY"] = repr(public_key.read_text().strip())
    text = file.read_text()
    for name, value in changes.items():
        text, count = re.subn(
            rf"^{name} = .*$", lambda _, new=f"{name} = {value}": new, text, flags=re.M
        )
        assert count == 1
    file.write_text(text)


@contextmanager
def running(terminal: Terminal, line: str) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a service running, and end it as a service manager would."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {line}"],
        cwd=terminal.folder,
        env=terminal.environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    ) as service:
        try:
            yield service
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(timeout=PATIENCE)


def wait_until(condition: Callable[[], object], failure: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, failure
        time.sleep(0.05)


def browser() -> OpenerDirector:
    # Cookies that travel over TLS only go to the web server, which the test stands for.
    policy = DefaultCookiePolicy(secure_protocols=("http", "https"))
    return build_opener(HTTPCookieProcessor(CookieJar(policy)))


def page(opened: OpenerDirector, url: str, form: dict[str, str] | None = None) -> str:
    """Ask gunicorn for a page as the web server in front of it does."""
    headers = {
        "Host": NAME,
        "X-Forwarded-Proto": "https",
        "Origin": f"https://{NAME}",
    }
    data = urlencode(form).encode() if form else None
    with opened.open(Request(url, data, headers), timeout=PATIENCE) as answer:
        text: str = answer.read().decode()
        return text


def answers(address: str) -> bool:
    try:
        return bool(page(browser(), f"{address}/admin/login/"))
    except URLError as error:
        if not isinstance(error.reason, ConnectionRefusedError):
            raise
        return False


def log_in(address: str) -> str:
    """Log in and return the list of operations, where it leads."""
    opened = browser()
    login = page(opened, f"{address}/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', login)
    assert token, login
    return page(
        opened,
        f"{address}/admin/login/?next=/admin/herds/operation/",
        {
            "username": "dba",
            "password": "an elephant never forgets",
            "csrfmiddlewaretoken": token[1],
        },
    )


def test_the_installation_for_real_leads_to_a_service(
    terminal: Terminal, empty_server: PrivateServer
) -> None:
    terminal.environment["PIP_NO_INDEX"] = "1"  # the tests' own packages are there
    home = Path(terminal.environment["HOME"])
    (home / ".ssh").mkdir(mode=0o700)
    services = []
    said = {}

    for line in commands(PAGE):
        if line.startswith(SERVICES):
            services.append(line)
            continue
        said[line] = terminal.type(line + ANSWERS.get(line, ""))
        if line == MOVE_THE_EXAMPLE:
            edit_settings(
                terminal.folder / "elephaas" / "local_settings.py",
                home / ".ssh" / "id_ed25519.pub",
            )

    assert "(herds." not in said["python manage.py check --deploy"]
    assert len(services) == len(SERVICES)
    port = free_port()
    gunicorn = services[0].replace(":8000", f":{port}")
    address = f"http://127.0.0.1:{port}"
    with running(terminal, gunicorn), running(terminal, services[1]) as worker:
        wait_until(lambda: answers(address), "gunicorn does not answer")
        wait_until(lambda: live_workers(empty_server), "no worker registered")
        operations = log_in(address)
    assert worker.returncode == 0
    assert not live_workers(empty_server)
    assert "Log out" in operations
    assert "No worker is running" not in operations


def live_workers(server: PrivateServer) -> int:
    return int(
        server.psql(
            "SELECT count(*) FROM utility.ele_worker WHERE stopped_at IS NULL",
            database="admin",
        )
    )
