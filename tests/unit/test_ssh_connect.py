"""A host is let in only as the one that was accepted, and refusals say why."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from herds.errors import (
    HostKeyChanged,
    HostUnreachable,
    LoginRefused,
    PreconditionFailed,
)
from herds.ssh.connection import Login, connect, load_private_key
from herds.ssh.host_keys import HostKey, fetch_host_key
from herds.ssh.probe import check_login

from .ssh_server import USER, LocalSshd, free_port, make_key


def login_for(
    server: LocalSshd, user: str = USER, key: Path | None = None, seconds: float = 10.0
) -> Login:
    return Login(
        user=user,
        key=load_private_key(key or server.private_key),
        port=server.port,
        connect_timeout=seconds,
    )


def pinned(server: LocalSshd) -> HostKey:
    return HostKey.parse(server.host_key())


def test_a_host_in_order_passes_the_probe(sshd: LocalSshd) -> None:
    check_login(sshd.address, pinned(sshd), login_for(sshd))

    assert sshd.accepted_logins() == 1


def test_the_presented_key_is_the_one_that_ssh_keygen_prints(sshd: LocalSshd) -> None:
    presented = fetch_host_key(sshd.address, sshd.port)

    listed = subprocess.run(
        ["ssh-keygen", "-l", "-f", f"{sshd.directory}/host.pub"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert presented.fingerprint == listed.split()[1]
    assert HostKey.parse(str(presented)) == presented
    assert sshd.accepted_logins() == 0


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_changed_host_key_is_refused_and_nothing_run(
    sshd: LocalSshd, kind: str
) -> None:
    before = pinned(sshd)
    sshd.stop()
    sshd.replace_host_key(kind)
    sshd.start()
    now = pinned(sshd)

    with pytest.raises(HostKeyChanged) as changed:
        check_login(sshd.address, before, login_for(sshd))

    assert changed.value.pinned == before.fingerprint
    assert changed.value.presented == now.fingerprint
    assert "nothing was run" in changed.value.sentence()
    assert sshd.accepted_logins() == 0


def test_a_host_with_several_keys_is_asked_for_the_accepted_one(
    sshd: LocalSshd,
) -> None:
    first = pinned(sshd)
    sshd.stop()
    make_key(sshd.directory / "second", "ecdsa")
    sshd.options = (f"HostKey {sshd.directory}/second",)
    sshd.start()
    second = HostKey.parse((sshd.directory / "second.pub").read_text())

    for key in (first, second):
        check_login(sshd.address, key, login_for(sshd))


def test_an_unknown_key_is_refused_with_where_to_put_it(
    sshd: LocalSshd, tmp_path: Path
) -> None:
    stranger = make_key(tmp_path / "stranger")

    with pytest.raises(LoginRefused) as refused:
        check_login(sshd.address, pinned(sshd), login_for(sshd, key=stranger))

    assert refused.value.user == USER
    assert USER in refused.value.sentence()
    assert "authorized_keys" in refused.value.sentence()


def test_an_unknown_user_is_refused(sshd: LocalSshd) -> None:
    with pytest.raises(LoginRefused, match="nobody-by-this-name"):
        check_login(
            sshd.address, pinned(sshd), login_for(sshd, user="nobody-by-this-name")
        )


def test_a_user_who_may_log_in_but_run_nothing_is_refused(sshd: LocalSshd) -> None:
    sshd.stop()
    sshd.options = ("ForceCommand /bin/false",)
    sshd.start()

    with pytest.raises(LoginRefused, match="runs no commands"):
        check_login(sshd.address, pinned(sshd), login_for(sshd))


def test_a_second_factor_is_named(sshd: LocalSshd) -> None:
    sshd.stop()
    sshd.options = ("AuthenticationMethods publickey,publickey",)
    sshd.start()

    with pytest.raises(LoginRefused, match="more than a key"):
        check_login(sshd.address, pinned(sshd), login_for(sshd))


def test_a_refused_port_is_named(sshd: LocalSshd) -> None:
    port = free_port()

    with pytest.raises(HostUnreachable, match=f"connection refused on port {port}"):
        fetch_host_key("127.0.0.1", port)


NameService = Callable[[Callable[[], None]], None]


@pytest.fixture
def name_service(monkeypatch: pytest.MonkeyPatch) -> NameService:
    """Have every look-up of a name do something else first."""
    look_up = socket.getaddrinfo

    def install(first: Callable[[], None]) -> None:
        def getaddrinfo(*args: Any, flags: int = 0, **options: Any) -> Any:
            if not flags & socket.AI_NUMERICHOST:
                first()
            return look_up(*args, flags=flags, **options)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return install


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (socket.EAI_NONAME, "its name is not known"),
        (socket.EAI_AGAIN, "the name service did not answer"),
    ],
)
def test_a_name_that_is_not_found_is_told(
    name_service: NameService, code: int, reason: str
) -> None:
    def not_found() -> None:
        raise socket.gaierror(code, "as the resolver says")

    name_service(not_found)

    with pytest.raises(HostUnreachable) as unreachable:
        fetch_host_key("ele99")

    assert unreachable.value.reason == reason


def test_a_name_service_that_hangs_is_given_up(name_service: NameService) -> None:
    answers = threading.Event()

    def hang() -> None:
        answers.wait()

    name_service(hang)

    with pytest.raises(HostUnreachable, match=r"not resolved within 0\.2 s"):
        fetch_host_key("localhost", timeout=0.2)

    answers.set()


@pytest.mark.parametrize("host", ["x" * 300, "a..b", "with\0nul"])
def test_what_cannot_be_a_name_is_said_to_be_none(host: str) -> None:
    with pytest.raises(HostUnreachable, match="not a valid host name"):
        fetch_host_key(host)


def test_a_host_that_says_nothing_is_given_up(sshd: LocalSshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        with pytest.raises(
            HostUnreachable, match=rf"no SSH server answered on port {port} within"
        ):
            fetch_host_key("127.0.0.1", port, timeout=0.3)


def test_a_host_that_hangs_up_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def hang_up() -> None:
            server.accept()[0].close()

        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        with pytest.raises(
            HostUnreachable, match=rf"no SSH server answered on port {port}\)"
        ):
            fetch_host_key("127.0.0.1", port)
        hanging_up.join()


def test_a_handshake_that_stalls_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        over = threading.Event()

        def greet_only() -> None:
            with server.accept()[0] as connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                over.wait()

        greeting = threading.Thread(target=greet_only)
        greeting.start()
        with pytest.raises(HostUnreachable, match="handshake did not end within"):
            fetch_host_key("127.0.0.1", port, timeout=0.5)
        over.set()
        greeting.join()


def test_a_hung_host_is_given_up_while_connecting(sshd: LocalSshd) -> None:
    key = pinned(sshd)
    sshd.freeze()

    with pytest.raises(HostUnreachable):
        connect(sshd.address, key, login_for(sshd, seconds=0.5))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-dss AAAAB3NzaC1kc3M=",
        "ssh-ed25519 not!base64",
        "ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQAB",
    ],
)
def test_what_is_no_key_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"key|base64"):
        HostKey.parse(text)


def test_a_key_file_that_was_replaced_is_read_anew(
    sshd: LocalSshd, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    shutil.copy(sshd.private_key, path)
    before = load_private_key(path)
    path.unlink()
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True
    )

    assert load_private_key(path).fingerprint != before.fingerprint


def test_a_private_key_with_a_passphrase_is_named(tmp_path: Path) -> None:
    path = tmp_path / "locked"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)],
        check=True,
    )

    with pytest.raises(PreconditionFailed, match="protected by a passphrase"):
        load_private_key(path)
