"""Errors say what happened, where and what to do, and survive a journey."""

from __future__ import annotations

import copy
import pickle

import pytest

from herds.errors import (
    OUTPUT_TAIL,
    CommandFailed,
    CommandTimedOut,
    ElephaasError,
    HostKeyChanged,
    HostKeyUnknown,
    HostUnreachable,
    LoginRefused,
    NameserverRefused,
    NameserverSilent,
    NameserverUnreachable,
    NotObserved,
    OperationCancelled,
    OutcomeUnknown,
    PreconditionFailed,
)

EXAMPLES = [
    HostUnreachable("ele03", "connection timed out after 5 s"),
    HostKeyUnknown("ele03", presented="SHA256:a"),
    HostKeyChanged("ele03", presented="SHA256:a", pinned="SHA256:b"),
    LoginRefused("ele03", "postgres", reason="it closed the connection"),
    CommandFailed("ele03", "pg_ctl stop", 1, "no server running"),
    CommandTimedOut("ele03", "pg_ctl stop", 60.0, "waiting", stopped=False),
    OutcomeUnknown("ele03", "pg_ctl stop", "the connection was lost"),
    OperationCancelled.of_command("ele03", "rsync a b", "10 %", stopped=True),
    OperationCancelled.before_command("ele03", "rsync a b"),
    NameserverUnreachable("ele03", "no answer within 2 s"),
    NameserverSilent("ele03", "Whether trade points at ele02 is not known."),
    NameserverRefused("ele03", "ele03 answers REFUSED.", rcode="REFUSED"),
    PreconditionFailed("trade is stopped on ele03.", host="ele03", hint="Start it."),
    NotObserved("trade to be online", observed="shut down", seconds=60, host="ele03"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_is_the_same_after_a_journey(error: ElephaasError) -> None:
    for arrived in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(arrived) is type(error)
        assert arrived.__dict__ == error.__dict__
        assert str(arrived) == error.sentence()


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_names_its_host_in_whole_sentences(error: ElephaasError) -> None:
    sentence = error.sentence()

    assert error.host == "ele03"
    assert sentence.endswith(".")
    assert "!" not in sentence
    assert "\n" not in sentence


def test_an_unreachable_host_is_told_as_the_pages_tell_it() -> None:
    assert HostUnreachable("ele03", "connection timed out after 5 s").sentence() == (
        "ele03 could not be reached over SSH (connection timed out after 5 s). What "
        "runs there is unknown. Check the host and its network, then try again."
    )


def test_a_long_command_and_its_output_do_not_flood_the_sentence() -> None:
    error = CommandFailed("ele03", "sh -c '\n" + "x" * 500 + "'", 1, "y\n" * 5000)

    assert len(error.sentence()) < 250
    assert len(error.output) == OUTPUT_TAIL
    assert "x" * 500 in error.command
