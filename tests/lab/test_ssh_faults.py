"""A host that vanishes without a word is noticed, and found again when it is back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from herds.errors import HostKeyChanged, HostUnreachable, OutcomeUnknown
from herds.ssh.pool import ShellPool
from herds.ssh.shell import Shell, Stream
from lab import Lab

HOST = "ele01"


@pytest.fixture
def shell(breakable: Lab) -> Iterator[Shell]:
    """A shell on a host, as the control host has it."""
    with (
        breakable.inside("control"),
        ShellPool(
            user="postgres", private_key_file=breakable.ssh_key, connect_timeout=3.0
        ) as pool,
    ):
        yield pool.shell(HOST, breakable.host_key(HOST))


def once(then: Callable[[], object]) -> Callable[[Stream, bytes], None]:
    """Do something, elsewhere, when the command prints its first words."""

    def heard(stream: Stream, chunk: bytes) -> None:
        if chunk:
            breaking = threading.Thread(target=then)
            breaking.start()
            breaking.join()

    return heard


@pytest.mark.parametrize("fault", ["cut", "kill"])
def test_a_host_lost_in_the_middle_of_a_command_leaves_its_outcome_unknown(
    breakable: Lab, shell: Shell, fault: str
) -> None:
    lose = {"cut": breakable.cut, "kill": breakable.kill}[fault]

    # Nobody tells: neither the cable nor a host without power sends anything.
    with pytest.raises(OutcomeUnknown, match="the connection was lost"):
        shell.run(
            ["sh", "-c", "echo begun; sleep 600"],
            timeout=300,
            on_output=once(lambda: lose(HOST)),
        )


def test_an_idle_connection_to_a_lost_host_is_not_trusted(
    breakable: Lab, shell: Shell
) -> None:
    shell.run(["true"])
    breakable.cut(HOST)

    with pytest.raises(HostUnreachable):
        shell.run(["true"])

    breakable.heal(HOST)
    assert shell.run(["echo", "back"]).stdout == "back\n"


def test_a_host_that_was_switched_off_and_on_is_connected_to_anew(
    breakable: Lab, shell: Shell
) -> None:
    shell.run(["true"])
    breakable.kill(HOST)
    with pytest.raises(HostUnreachable):
        shell.run(["true"])

    breakable.boot(HOST)

    assert shell.run(["echo", "back"]).stdout == "back\n"


def test_a_host_in_the_place_of_another_runs_nothing(
    breakable: Lab, shell: Shell
) -> None:
    with ShellPool(user="postgres", private_key_file=breakable.ssh_key) as pool:
        stranger = pool.shell("ele02", breakable.host_key(HOST))

        with pytest.raises(HostKeyChanged):
            stranger.run(["true"])
