"""Every server of a zone is asked itself, and silence is told from what it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import dns.flags
import dns.message
import pytest

from herds.domain.clock import SystemClock
from herds.errors import NameserverUnreachable, PreconditionFailed
from herds.nameserver.nameserver import Access, Manner, Nameserver
from herds.nameserver.record import ask_server
from tests.doubles.name_server import KEY, ZONE, Reply, Scripted, nobody, saying, silent

NAME = f"trade.{ZONE}"
SOA = f"{ZONE}. 5 IN SOA ns1.lab.test. b. 7 1 1 1 1"
AT = {
    host: saying("NOERROR", f"trade 60 IN CNAME {host}.{ZONE}.", SOA)
    for host in ("ele01", "ele02")
}


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (AT["ele01"], "says ele01.lab.test"),
        (saying("NXDOMAIN", f"trade 60 IN CNAME Gone.{ZONE}.", SOA), "gone.lab.test"),
        (saying("NXDOMAIN", SOA), "knows no such name"),
        (saying("NOERROR", "trade 60 IN A 192.0.2.7", SOA), "has A 192.0.2.7"),
        (saying("NOERROR", SOA), "has data of another kind"),
        (saying("SERVFAIL"), "answered SERVFAIL"),
        (saying("REFUSED"), "answered REFUSED"),
        (saying("NOERROR", SOA, aa=False), "is not in charge of the zone"),
        (silent, "did not answer within 0.2 s"),
        (lambda message: b"nonsense", "did not answer within 0.2 s"),
    ],
)
def test_what_a_server_says_is_put_in_words(reply: Reply, told: str) -> None:
    with Scripted(reply) as double:
        said = ask_server(NAME, ZONE, double.server, 0.2)

    assert said.words().startswith("ns1.lab.test ")
    assert told in said.words()


def test_a_look_tells_serial_and_ttl_and_does_not_ask_for_recursion() -> None:
    with Scripted(AT["ele01"]) as double:
        said = ask_server(NAME, ZONE, double.server, 0.5)

    assert (said.target, said.ttl, said.serial) == ("ele01.lab.test", 60, 7)
    assert not any(message.flags & dns.flags.RD for message in double.heard)


def test_a_lost_datagram_is_asked_again() -> None:
    losing: list[bool] = [True]

    def lossy(message: dns.message.Message) -> dns.message.Message | bytes | None:
        return None if losing and losing.pop() else AT["ele01"](message)

    with Scripted(lossy) as double:
        assert ask_server(NAME, ZONE, double.server, 1.0).target == "ele01.lab.test"


def test_an_answer_cut_short_is_fetched_over_tcp() -> None:
    def cut(message: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(message)
        answer.flags |= dns.flags.TC
        return answer

    with Scripted(cut, AT["ele01"]) as double:
        assert ask_server(NAME, ZONE, double.server, 1.0).target == "ele01.lab.test"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def served(stack: ExitStack, *replies: Reply | None, key: bool = True) -> Nameserver:
    """Give what asks one scripted server a reply; None is one that is not there."""
    servers = [
        stack.enter_context(Scripted(reply)).server
        if reply
        else stack.enter_context(nobody())
        for reply in replies
    ]
    addresses = tuple(f"{server.address}#{server.port}" for server in servers)
    manner = Manner(
        access=Access(),
        zones={ZONE: Access(key=KEY if key else None, servers=addresses)},
        domain=ZONE,
        timeout=0.3,
    )
    return Nameserver(manner, SystemClock())


def test_all_servers_are_asked_and_those_that_differ_are_named(
    stack: ExitStack,
) -> None:
    names = served(stack, AT["ele01"], AT["ele02"], None)

    look = names.look("trade")

    assert look.target == "ele01.lab.test"
    assert not look.agree
    assert [said.target for said in look.behind("ele01.lab.test")] == [
        "ele02.lab.test",
        "",
    ]
    assert look.words().startswith(f"{NAME} points at ele01.lab.test; 127.0.0.1#")
    assert "connection refused" in look.words()


def test_servers_that_say_the_same_agree(stack: ExitStack) -> None:
    look = served(stack, AT["ele01"], AT["ele01"]).look(f"{NAME}.")

    assert look.agree
    assert look.words() == f"{NAME} points at ele01.lab.test"


def test_where_nobody_answers_nothing_is_known(stack: ExitStack) -> None:
    names = served(stack, None, None)

    look = names.look("trade")

    assert not look.is_known
    assert look.target == ""
    with pytest.raises(NameserverUnreachable):
        names.prepare(look, f"ele02.{ZONE}")


def test_a_name_that_is_an_address_record_is_refused(stack: ExitStack) -> None:
    names = served(stack, saying("NOERROR", "trade 60 IN A 192.0.2.7", SOA))
    look = names.look("trade")

    for ask in (names.prove_right, lambda seen: names.prepare(seen, f"ele02.{ZONE}")):
        with pytest.raises(PreconditionFailed, match="has A 192"):
            ask(look)


def test_a_host_that_dns_does_not_know_is_no_target(stack: ExitStack) -> None:
    def knows(message: dns.message.Message) -> dns.message.Message | bytes | None:
        missing = message.question[0].name.labels[0] == b"ele09"
        return saying("NXDOMAIN")(message) if missing else AT["ele01"](message)

    names = served(stack, knows)

    with pytest.raises(PreconditionFailed, match="has no address in DNS"):
        names.prepare(names.look("trade"), f"ele09.{ZONE}")


def test_without_a_key_nothing_is_moved(stack: ExitStack) -> None:
    names = served(stack, AT["ele01"], key=False)

    with pytest.raises(PreconditionFailed, match="There is no key"):
        names.prove_right(names.look("trade"))


def test_waiting_ends_with_what_was_seen_last(stack: ExitStack) -> None:
    names = served(stack, AT["ele02"], AT["ele01"])
    look = names.look("trade")

    seen = names.await_everywhere(look, f"ele02.{ZONE}", 0.2)

    assert [said.target for said in seen.behind(f"ele02.{ZONE}")] == ["ele01.lab.test"]
    assert not names.await_everywhere(look, f"ele02.{ZONE}", 0).agree


@pytest.mark.parametrize(
    ("host", "full"),
    [("ele03", f"ele03.{ZONE}"), ("DB.example.com.", "db.example.com")],
)
def test_host_names_are_written_in_full(stack: ExitStack, host: str, full: str) -> None:
    assert served(stack, AT["ele01"]).host_name(host, "trade") == full


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::1", "a..b", "", "a" * 64])
def test_what_is_no_host_name_is_no_target(stack: ExitStack, host: str) -> None:
    with pytest.raises(PreconditionFailed):
        served(stack, AT["ele01"]).host_name(host, "trade")


def test_a_lost_resolver_does_not_hide_what_was_found_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[str] = [f"ele03.{ZONE}"]

    def search(name: str, asked: object) -> str:
        if not answers:
            raise NameserverUnreachable("192.0.2.53", "no usable answer")
        return answers.pop()

    monkeypatch.setattr("herds.nameserver.names.search", search)
    names = Nameserver(Manner(access=Access()), SystemClock())

    assert names.host_name("ele03", "trade") == f"ele03.{ZONE}"
    assert names.host_name("ele03", "trade") == f"ele03.{ZONE}"
    with pytest.raises(NameserverUnreachable):
        names.host_name("ele04", "trade")
