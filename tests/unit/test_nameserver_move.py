"""A name is moved by one signed, conditional update, and the answer is understood."""

from __future__ import annotations

import time

import dns.message
import dns.rcode
import dns.tsig
import pytest

from herds.nameserver import move
from herds.nameserver.exchange import Silent
from herds.nameserver.move import Change, PreparedMove, prove
from herds.nameserver.record import ask_server
from herds.nameserver.values import Moved, Outcome, Server
from tests.doubles.name_server import (
    KEY,
    ZONE,
    Reply,
    Scripted,
    either,
    nobody,
    saying,
    silent,
)

NAME, OLD, NEW = f"trade.{ZONE}", f"ele01.{ZONE}", f"ele02.{ZONE}"
AT_OLD = saying("NOERROR", f"trade 60 IN CNAME {OLD}.")
AT_NEW = saying("NOERROR", f"trade 60 IN CNAME {NEW}.")
ELSEWHERE = saying("NOERROR", f"trade 60 IN CNAME ele07.{ZONE}.")


def change(server: Server, old: str = OLD, new: str = NEW) -> Change:
    return Change(name=NAME, zone=ZONE, server=server, old=old, new=new, ttl=60)


def prepared(server: Server, timeout: float = 0.4, old: str = OLD) -> PreparedMove:
    return PreparedMove(
        change(server, old),
        KEY,
        lambda: ask_server(NAME, ZONE, server, timeout),
        timeout,
    )


def send(reply: Reply, over_tcp: Reply | None = None, old: str = OLD) -> Moved:
    with Scripted(reply, over_tcp) as double, prepared(double.server, old=old) as ready:
        return ready.send()


def sections(update: dns.message.Message) -> tuple[list[str], list[str]]:
    prerequisite, changes = update.sections[1], update.sections[2]
    return (
        [line for rrset in prerequisite for line in rrset.to_text().splitlines()],
        [line for rrset in changes for line in rrset.to_text().splitlines()],
    )


def test_one_message_holds_the_condition_and_the_whole_change() -> None:
    with Scripted(saying("NOERROR")) as double, prepared(double.server) as ready:
        done = ready.send()

    (update,) = double.updates
    assert sections(update) == (
        [f"{NAME}. 0 IN CNAME {OLD}."],
        [f"{NAME}. ANY CNAME", f"{NAME}. 60 IN CNAME {NEW}."],
    )
    assert update.had_tsig
    assert update.keyname.to_text() == "elephaas."
    assert update.tsig[0].fudge == 300
    assert done.outcome is Outcome.MOVED
    assert done.words == f"{NAME} points at {NEW}, no longer at {OLD}."


def test_a_new_name_is_made_only_where_nothing_has_it() -> None:
    with (
        Scripted(saying("NOERROR")) as double,
        prepared(double.server, old="") as ready,
    ):
        assert ready.send().is_done

    conditions, changes = sections(double.updates[0])
    assert conditions == [f"{NAME}. NONE ANY"]
    assert changes == [f"{NAME}. ANY CNAME", f"{NAME}. 60 IN CNAME {NEW}."]


@pytest.mark.parametrize(
    ("rcode", "seen", "outcome", "told"),
    [
        ("NOERROR", AT_NEW, Outcome.MOVED, "no longer at ele01"),
        ("NXRRSET", AT_NEW, Outcome.ALREADY, "ele02.lab.test already"),
        ("NXRRSET", ELSEWHERE, Outcome.UNEXPECTED, "says ele07.lab.test"),
        ("YXDOMAIN", ELSEWHERE, Outcome.UNEXPECTED, "was left"),
        ("REFUSED", AT_OLD, Outcome.REFUSED, "policy"),
        ("NOTAUTH", AT_OLD, Outcome.REFUSED, "does not know the key"),
        ("NOTZONE", AT_OLD, Outcome.REFUSED, "does not lie in the zone"),
        ("SERVFAIL", AT_OLD, Outcome.REFUSED, "cannot serve the zone"),
        ("SERVFAIL", AT_NEW, Outcome.ALREADY, "already"),
        ("NOTIMP", AT_OLD, Outcome.REFUSED, "takes no updates"),
        ("YXRRSET", AT_OLD, Outcome.UNEXPECTED, "says ele01"),
        ("REFUSED", silent, Outcome.REFUSED, "did not answer"),
    ],
)
def test_every_answer_has_its_meaning(
    rcode: str, seen: Reply, outcome: Outcome, told: str
) -> None:
    done = send(either(seen, saying(rcode)))

    assert (done.outcome, done.rcode) == (outcome, rcode)
    assert told in done.words
    assert done.words.endswith(".")
    assert done.is_done is (outcome in {Outcome.MOVED, Outcome.ALREADY})


@pytest.mark.parametrize(
    ("error", "rcode", "told"),
    [
        (dns.rcode.BADKEY, "BADKEY", "does not know the key"),
        (dns.rcode.BADSIG, "BADSIG", "another secret"),
        (dns.rcode.BADTIME, "BADTIME", "clocks"),
    ],
)
def test_a_complaint_about_the_key_is_told_as_what_it_is(
    error: dns.rcode.Rcode, rcode: str, told: str
) -> None:
    def complain(message: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(message, tsig_error=error)
        answer.set_rcode(dns.rcode.NOTAUTH)
        return answer

    done = send(either(AT_OLD, complain))

    assert (done.outcome, done.rcode) == (Outcome.REFUSED, rcode)
    assert told in done.words


def test_a_yes_that_nobody_signed_is_not_believed() -> None:
    def forged(message: dns.message.Message) -> bytes:
        return message.id.to_bytes(2) + b"\xa8\x00" + bytes(8)

    done = send(either(AT_OLD, forged))

    assert done.outcome is Outcome.UNKNOWN


def test_answers_to_other_questions_are_passed_over() -> None:
    signed = saying("NOERROR")

    def noisy(message: dns.message.Message) -> bytes:
        wire = signed(message).to_wire()  # type: ignore[union-attr]
        return bytes([wire[0] ^ 1]) + wire[1:]

    done = send(either(AT_OLD, noisy), over_tcp=signed)

    assert (done.outcome, done.rcode) == (Outcome.MOVED, "NOERROR")


def test_where_udp_is_swallowed_tcp_is_tried() -> None:
    with (
        Scripted(either(AT_OLD, silent), saying("NOERROR")) as double,
        prepared(double.server) as ready,
    ):
        done = ready.send()

    assert done.outcome is Outcome.MOVED
    assert len(double.updates) == 2


def test_no_answer_leaves_the_outcome_unknown_even_if_the_old_value_is_seen() -> None:
    done = send(either(AT_OLD, silent))

    assert (done.outcome, done.rcode) == (Outcome.UNKNOWN, "")
    assert f"says {OLD}" in done.words


def test_an_update_whose_answer_was_lost_is_seen_to_be_done() -> None:
    assert send(either(AT_NEW, silent)).outcome is Outcome.ALREADY


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    started = time.monotonic()
    with nobody() as server, prepared(server, timeout=10.0) as ready:
        done = ready.send()

    assert done.outcome is Outcome.UNREACHABLE
    assert "connection refused" in done.words
    assert time.monotonic() - started < 5


def test_sending_again_signs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with Scripted(saying("NOERROR")) as double, prepared(double.server) as ready:
        ready.send()
        ready.send()

    first, second = double.updates
    assert first.id != second.id


def test_a_signature_that_has_aged_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Scripted(saying("NOERROR")) as double, prepared(double.server) as ready:
        before = ready._wire
        monkeypatch.setattr(move, "_FRESH", 0.0)
        ready.send()

    assert ready._wire != before
    assert double.updates[0].id == int.from_bytes(ready._wire[:2])


@pytest.mark.parametrize(
    ("rcode", "granted"), [("NOERROR", True), ("REFUSED", False), ("NXRRSET", False)]
)
def test_the_right_is_proved_by_the_request_that_changes_nothing(
    rcode: str, granted: bool
) -> None:
    with Scripted(saying(rcode)) as double:
        proof = prove(change(double.server), KEY, 0.4)

    assert (proof.granted, proof.rcode) == (granted, rcode)
    assert sections(double.updates[0]) == (
        [f"{NAME}. 0 IN CNAME {OLD}."],
        [f"{NAME}. ANY CNAME", f"{NAME}. 60 IN CNAME {OLD}."],
    )


def test_the_right_to_a_new_name_is_proved_without_making_it() -> None:
    with Scripted(saying("NOERROR")) as double:
        assert prove(change(double.server, old=""), KEY, 0.4).granted

    assert sections(double.updates[0]) == (
        [f"{NAME}. NONE ANY"],
        [f"{NAME}. ANY CNAME"],
    )


def test_nothing_is_proved_by_silence() -> None:
    with Scripted(silent) as double, pytest.raises(Silent, match="did not answer"):
        prove(change(double.server), KEY, 0.3)
