"""Tells people what happened, at real receivers on this machine."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from herds.conf import NotificationSettings
from herds.domain.states import OperationState, TargetState
from herds.errors import PreconditionFailed
from herds.messenger.messenger import Messenger
from herds.models import Alarm, Notice, Operation
from herds.operations.herald import Herald
from tests import factories

pytestmark = pytest.mark.django_db


@dataclass
class Receiver:
    """A web server that takes what is posted to it, or refuses it."""

    messages: list[dict[str, str]] = field(default_factory=list)
    status: int = 200

    def __post_init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                told = json.loads(self.rfile.read(length))
                if receiver.status == 200:
                    receiver.messages.append(told)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"json://user:secret@127.0.0.1:{self.server.server_port}/"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    there = Receiver()
    yield there
    there.close()


@pytest.fixture
def other() -> Iterator[Receiver]:
    there = Receiver()
    yield there
    there.close()


def listed(folder: Path, receivers: dict[str, str]) -> Path:
    """Write the file of receivers: addresses with the tag of each."""
    file = folder / "notifications.yml"
    rows = [f"  - {url}:\n      - tag: {tag}\n" for url, tag in receivers.items()]
    file.write_text("version: 1\nurls:\n" + "".join(rows))
    file.chmod(0o600)
    return file


def herald(file: Path, *events: str, attempts: int = 8, hold: float = 0.001) -> Herald:
    settings = NotificationSettings(
        config_file=file,
        events=events or ("ended", "failed"),
        url="https://elephaas.example.com/",
        hold=hold,
        attempts=attempts,
    )
    return Herald(settings=settings)


def ended(state: str, environment: str = "prod", **more: Any) -> Operation:
    """Make an operation that ended just now, on an instance of an environment."""
    count = Operation.objects.count()
    member = factories.instance(f"herd{count}", f"ele{count}", environment)
    operation = factories.operation(
        state=OperationState(state),
        outcome="All is true.",
        **{"finished_at": timezone.now(), **more},
    )
    factories.target(operation, member, TargetState(state), outcome="It runs again.")
    return operation


def test_a_failure_is_told_once_with_what_the_page_says(
    tmp_path: Path, receiver: Receiver
) -> None:
    operation = ended("failed", reason="new kernel")
    teller = herald(listed(tmp_path, {receiver.address: "prod"}))

    teller.look()
    teller.look()
    assert teller.deliver() == 1
    assert teller.deliver() == 0

    (told,) = receiver.messages
    assert told["title"].startswith("prod: ")
    assert told["title"].endswith(": failed")
    assert "All is true." in told["message"]
    assert "new kernel" in told["message"]
    assert "failed. It runs again." in told["message"]
    page = f"https://elephaas.example.com/admin/herds/operation/{operation.pk}/change/"
    assert page in told["message"]
    assert Notice.objects.get().done_at is not None


def test_receivers_hear_of_their_own_environments(
    tmp_path: Path, receiver: Receiver, other: Receiver
) -> None:
    ended("failed", "prod")
    ended("failed", "stage")
    teller = herald(
        listed(tmp_path, {receiver.address: "prod", other.address: "always"})
    )

    teller.look()
    teller.deliver()

    assert [each["title"].split(":")[0] for each in receiver.messages] == ["prod"]
    assert {each["title"].split(":")[0] for each in other.messages} == {"prod", "stage"}


def test_what_is_not_asked_for_is_not_told(tmp_path: Path, receiver: Receiver) -> None:
    ended("succeeded")
    ended("failed", action="refresh")
    ended("failed", finished_at=timezone.now() - timedelta(hours=2))
    teller = herald(listed(tmp_path, {receiver.address: "prod"}), "failed")

    teller.look()

    assert teller.deliver() == 0


def test_a_dead_receiver_costs_the_others_nothing_and_is_tried_again(
    tmp_path: Path, receiver: Receiver, other: Receiver
) -> None:
    other.status = 500
    for _ in range(3):
        ended("failed")
    file = listed(tmp_path, {other.address: "prod", receiver.address: "prod"})
    teller = herald(file)
    teller.look()

    teller.deliver()

    assert len(receiver.messages) == 3
    assert other.messages == []
    waiting = Notice.objects.filter(done_at__isnull=True)
    assert waiting.count() == 3
    trouble = waiting[0].trouble
    assert "127.0.0.1" in trouble
    assert "secret" not in trouble

    other.status = 200
    later = timezone.now() + timedelta(minutes=1)
    teller.now = lambda: later
    assert teller.deliver() == 3
    assert len(receiver.messages) == 3
    assert len(other.messages) == 3
    assert not Notice.objects.filter(done_at__isnull=True).exists()


def test_what_nobody_takes_is_given_up(tmp_path: Path, receiver: Receiver) -> None:
    receiver.status = 500
    ended("failed")
    teller = herald(listed(tmp_path, {receiver.address: "prod"}), attempts=2)
    teller.look()

    for hours in range(3):
        moment = timezone.now() + timedelta(hours=hours)
        teller.now = lambda moment=moment: moment
        teller.deliver()

    notice = Notice.objects.get()
    assert (notice.attempts, notice.delivered) == (2, [])
    assert notice.done_at is not None


def test_a_receiver_that_never_answers_is_asked_once(
    tmp_path: Path, receiver: Receiver
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        address = f"json://127.0.0.1:{silent.getsockname()[1]}/?rto=1&cto=1"
        for _ in range(4):
            ended("failed")
        file = listed(tmp_path, {f'"{address}"': "prod", receiver.address: "prod"})
        teller = herald(file)
        teller.look()
        teller.deliver()
        silent.setblocking(False)
        connections = 0
        while True:
            try:
                silent.accept()[0].close()
            except BlockingIOError:
                break
            connections += 1

    assert len(receiver.messages) == 4
    assert connections == 1


def test_attention_is_told_when_it_begins_and_when_it_returns(
    tmp_path: Path, receiver: Receiver
) -> None:
    factories.instance(host="ele01")
    second = factories.instance(host="ele02")
    teller = herald(listed(tmp_path, {receiver.address: "always"}), "attention")

    for _ in range(3):
        teller.look()
        teller.deliver()
    told = [each["title"] for each in receiver.messages]
    assert sum("take writes" in each for each in told) == 1

    second.delete()
    teller.look()
    factories.instance(host="ele02")
    for _ in range(2):
        teller.look()
        teller.deliver()
    told = [each["title"] for each in receiver.messages]
    assert sum("take writes" in each for each in told) == 2


def test_what_stands_under_attention_unchanged_is_not_written_again(
    tmp_path: Path,
) -> None:
    factories.instance(host="ele01")
    factories.instance(host="ele02")
    file = listed(tmp_path, {"json://127.0.0.1/": "always"})
    teller = herald(file, "attention", hold=3600.0)
    teller.look()

    with CaptureQueriesContext(connection) as captured:
        teller.look()

    written = [each["sql"] for each in captured.captured_queries]
    assert not [sql for sql in written if sql.startswith("INSERT")]
    assert Alarm.objects.exists()


def test_others_must_not_read_the_file(tmp_path: Path) -> None:
    file = listed(tmp_path, {"json://127.0.0.1/": "prod"})
    file.chmod(0o644)

    with pytest.raises(PreconditionFailed, match="passwords in it"):
        Messenger(file)


@pytest.mark.parametrize("text", ["", "version: 1\nurls: []\n", "nonsense://x\n"])
def test_a_file_without_receivers_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "notifications.yml"
    file.write_text(text)
    file.chmod(0o600)

    with pytest.raises(PreconditionFailed, match="no receiver"):
        Messenger(file)


def test_a_file_that_is_gone_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(PreconditionFailed, match="No such file"):
        Messenger(tmp_path / "missing.yml")
