"""One connection to a host serves all, and a dead one is noticed and replaced."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest

from herds.errors import (
    HostKeyChanged,
    HostKeyUnknown,
    HostUnreachable,
    PreconditionFailed,
)
from herds.ssh.host_keys import HostKey, fetch_host_key
from herds.ssh.pool import ShellPool
from herds.ssh.shell import Shell
from herds.ssh.transport import HostTransport

from .conftest import pool_for
from .ssh_server import USER, LocalSshd, eventually, free_port, make_key


def test_many_threads_share_one_connection(shell: Shell, sshd: LocalSshd) -> None:
    # More at once than sshd allows sessions on a connection, which is ten.
    def count(number: int) -> str:
        return shell.run(["sh", "-c", 'sleep 0.1; echo "$1"', "sh", str(number)]).stdout

    with ThreadPoolExecutor(24) as executor:
        printed = list(executor.map(count, range(24)))

    assert printed == [f"{number}\n" for number in range(24)]
    assert sshd.accepted_logins() == 1


def test_a_host_that_allows_few_sessions_gets_few(tmp_path: Path) -> None:
    server = LocalSshd(tmp_path / "sshd", "MaxSessions 2").start()
    with pool_for(server, connect_timeout=120.0) as pool:
        shell = pool.shell(server.address, server.host_key())
        with ThreadPoolExecutor(8) as executor:
            done = list(
                executor.map(lambda _: shell.run(["sleep", "0.05"]).status, range(32))
            )
    server.stop()

    assert done == [0] * 32
    assert server.accepted_logins() == 1


def test_a_connection_that_died_is_made_again_unnoticed(
    shell: Shell, sshd: LocalSshd
) -> None:
    shell.run(["true"])
    sshd.stop()
    sshd.start()

    assert shell.run(["echo", "again"]).stdout == "again\n"
    assert sshd.accepted_logins() == 2


def test_a_connection_that_hangs_is_replaced_before_anything_is_sent(
    sshd: LocalSshd,
) -> None:
    with pool_for(sshd, connect_timeout=1.0) as pool:
        shell = pool.shell(sshd.address, sshd.host_key())
        shell.run(["true"])
        sshd.freeze()
        with pytest.raises(HostUnreachable):
            shell.run(["true"])
        sshd.thaw()

        assert shell.run(["echo", "again"]).stdout == "again\n"


def test_a_slow_host_holds_up_no_other(pool: ShellPool, sshd: LocalSshd) -> None:
    # It takes connections and says nothing, as a hung host does.
    with socket.create_server(("127.0.0.2", sshd.port)) as silent:
        asked = threading.Thread(
            target=lambda: pool.warm([("127.0.0.2", sshd.host_key())])
        )
        asked.start()
        accepted, _ = silent.accept()

        assert pool.shell(sshd.address, sshd.host_key()).run(["true"]).status == 0
        assert asked.is_alive()

        accepted.close()
        asked.join()


def test_those_who_wait_for_a_connection_share_its_failure(sshd: LocalSshd) -> None:
    with (
        socket.create_server(("127.0.0.2", sshd.port)) as silent,
        pool_for(sshd, connect_timeout=1.0) as pool,
        ThreadPoolExecutor(8) as executor,
    ):
        shell = pool.shell("127.0.0.2", sshd.host_key())
        waiting = [executor.submit(shell.run, ["true"]) for _ in range(8)]
        errors = [future.exception() for future in waiting]
        silent.settimeout(0)
        connections = 0
        try:
            while True:
                silent.accept()[0].close()
                connections += 1
        except BlockingIOError:
            pass

    assert {str(error) for error in errors} == {
        "127.0.0.2 could not be reached over SSH "
        f"(no SSH server answered on port {sshd.port} within 1 s). What runs there is "
        "unknown. Check the host and its network, then try again."
    }
    assert len({id(error) for error in errors}) == 8
    assert connections < 8


def test_a_failure_that_began_before_the_question_is_no_answer(
    tmp_path: Path,
) -> None:
    # The host came up while somebody's connection was still on its way to nowhere.
    server = LocalSshd(tmp_path / "sshd")
    with (
        pool_for(server, connect_timeout=2.0) as pool,
        contextlib.ExitStack() as afterwards,
        ThreadPoolExecutor(1) as executor,
    ):
        afterwards.callback(server.stop)
        shell = pool.shell(server.address, server.host_key())
        with socket.create_server((server.address, server.port)) as silent:
            early = executor.submit(shell.run, ["true"])
            lost, _ = silent.accept()
        with lost:
            time.sleep(0.5)
            server.start()

            assert not early.done()
            assert shell.run(["echo", "here"]).stdout == "here\n"
            assert isinstance(early.exception(), HostUnreachable)


def test_warming_connects_to_all_and_reports_those_it_could_not(
    pool: ShellPool, sshd: LocalSshd
) -> None:
    failed = pool.warm(
        [
            (sshd.address, sshd.host_key()),
            ("127.0.0.3", sshd.host_key()),
            ("127.0.0.4", None),
        ]
    )

    assert set(failed) == {"127.0.0.3", "127.0.0.4"}
    assert isinstance(failed["127.0.0.3"], HostUnreachable)
    assert isinstance(failed["127.0.0.4"], HostKeyUnknown)
    assert sshd.accepted_logins() == 1


def test_a_dropped_host_is_connected_to_anew(
    pool: ShellPool, shell: Shell, sshd: LocalSshd
) -> None:
    shell.run(["true"])
    pool.drop(sshd.address)
    shell.run(["true"])

    assert sshd.accepted_logins() == 2


def test_another_accepted_key_is_not_served_by_the_old_connection(
    pool: ShellPool, sshd: LocalSshd, tmp_path: Path
) -> None:
    pool.shell(sshd.address, sshd.host_key()).run(["true"])
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()

    with pytest.raises(HostKeyChanged):
        pool.shell(sshd.address, other).run(["true"])


def test_without_an_accepted_key_nobody_is_contacted(pool: ShellPool) -> None:
    with pytest.raises(HostKeyUnknown, match="never accepted"):
        pool.shell("no-such-host.invalid", None)


def test_an_unreadable_pinned_key_is_named(pool: ShellPool) -> None:
    with pytest.raises(PreconditionFailed, match="recorded for ele01 cannot be read"):
        pool.shell("ele01", "ssh-ed25519 nonsense")


def test_closing_leaves_no_thread_and_no_use(sshd: LocalSshd) -> None:
    before = set(threading.enumerate())
    pool = pool_for(sshd)
    shell = pool.shell(sshd.address, sshd.host_key())
    shell.run(["true"])
    opened = set(threading.enumerate()) - before

    pool.close()

    assert len(opened) == 1
    assert not any(thread.is_alive() for thread in opened)
    with pytest.raises(HostUnreachable, match="closing its connections"):
        shell.run(["true"])


def test_an_idle_connection_waits_without_waking(sshd: LocalSshd) -> None:
    with pool_for(sshd) as pool:
        pool.warm([(sshd.address, sshd.host_key())])
        (transport,) = (
            thread
            for thread in threading.enumerate()
            if isinstance(thread, HostTransport)
            and thread.getpeername()[1] == sshd.port
        )
        sock = transport.sock
        assert isinstance(sock, socket.socket)

        assert sock.gettimeout() is None
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000


def test_paramiko_still_has_the_private_name_that_is_used() -> None:
    assert callable(paramiko.Transport._send_user_message)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_every_usual_type_of_host_key_and_user_key_works(
    tmp_path: Path, kind: str
) -> None:
    server = LocalSshd(tmp_path / "sshd")
    server.replace_host_key(kind)
    user_key = make_key(tmp_path / "key", kind)
    (server.directory / "authorized_keys").write_bytes(
        user_key.with_suffix(".pub").read_bytes()
    )
    server.start()
    with ShellPool(user=USER, private_key_file=user_key, port=server.port) as pool:
        presented = fetch_host_key(server.address, server.port)
        done = pool.shell(server.address, str(presented)).run(["echo", kind])
    server.stop()

    assert presented == HostKey.parse(server.host_key())
    assert done.stdout == f"{kind}\n"


def test_a_pool_needs_a_key_it_can_use(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish"
    rubbish.write_text("no key")
    missing = tmp_path / "missing"

    with pytest.raises(PreconditionFailed, match="no usable SSH private key"):
        ShellPool(user=USER, private_key_file=rubbish)
    with pytest.raises(PreconditionFailed, match="no such file"):
        ShellPool(user=USER, private_key_file=missing)
    with pytest.raises(ValueError, match="needs a private key"):
        ShellPool(user=USER)


def test_a_port_where_nothing_listens_is_refused_at_once(sshd: LocalSshd) -> None:
    port = free_port()
    with (
        ShellPool(user=USER, private_key_file=sshd.private_key, port=port) as pool,
        pytest.raises(HostUnreachable, match=f"connection refused on port {port}"),
    ):
        pool.shell("127.0.0.1", sshd.host_key()).run(["true"])


def test_a_session_that_ends_between_commands_is_noticed(
    shell: Shell, sshd: LocalSshd
) -> None:
    shell.run(["true"])
    sshd.end_sessions()
    eventually(lambda: not sshd.sessions(), "the session is gone")

    assert shell.run(["echo", "still"]).stdout == "still\n"
