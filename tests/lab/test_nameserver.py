"""Names are looked up and moved on real name servers, whole and broken ones."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import pytest

from herds.domain.clock import SystemClock
from herds.errors import NameserverUnreachable, PreconditionFailed
from herds.nameserver.key import TsigKey
from herds.nameserver.nameserver import Access, Manner, Nameserver
from herds.nameserver.values import Look, Moved, Outcome, Proof
from lab import Lab
from tests.lab.polling import eventually
from tests.lab.zones import BROKEN, GUARDED, Zones, second_nameserver

T = TypeVar("T")

NAME = "moving"


@pytest.fixture(scope="module")
def second(lab: Lab) -> Iterator[Zones]:
    """The lab with a second name server on ele04, which copies the first one's zone."""
    with second_nameserver(lab, "ele04") as zones:
        yield zones
        zones.set(NAME)


@pytest.fixture
def zones(second: Zones) -> Zones:
    """Both servers, with a name that points at ele01 on each."""
    second.set(NAME, f"60 CNAME ele01.{second.domain}.")
    second.level()
    return second


class Asked:
    """A nameserver adapter that lives on the control host."""

    def __init__(self, zones: Zones, *servers: str, key: TsigKey | None = None) -> None:
        self.zones = zones
        self.full = f"{NAME}.{zones.domain}"
        manner = Manner(
            access=Access(key=key or zones.key, servers=servers), timeout=1.0
        )
        self.names = Nameserver(manner, SystemClock())

    def here(self, work: Callable[[], T]) -> T:
        """Do something on the control host."""
        with self.zones.lab.inside("control"):
            return work()

    def look(self, name: str = NAME) -> Look:
        return self.here(lambda: self.names.look(name))

    def prove(self, name: str = NAME) -> Proof:
        return self.here(lambda: self.names.prove_right(self.names.look(name)))

    def target(self, host: str) -> str:
        return f"{host}.{self.zones.domain}"

    def move(
        self, host: str, name: str = NAME, between: Callable[[], None] = lambda: None
    ) -> Moved:
        """Look, prepare, let something happen, and send."""

        def work() -> Moved:
            look = self.names.look(name)
            with self.names.prepare(look, self.target(host)) as ready:
                between()
                return ready.send()

        return self.here(work)


def test_a_name_moves_with_one_signed_message(zones: Zones) -> None:
    asked = Asked(zones, zones.first, zones.second)
    serial = zones.serial()

    done = asked.move("ele02")

    assert (done.outcome, done.rcode) == (Outcome.MOVED, "NOERROR")
    assert zones.dig(asked.full, "CNAME") == asked.target("ele02") + "."
    assert zones.serial() == serial + 1
    look = asked.here(
        lambda: asked.names.await_everywhere(asked.look(), asked.target("ele02"), 20)
    )
    assert look.agree
    assert {(said.target, said.ttl, said.serial) for said in look.said} == {
        (asked.target("ele02"), 60, serial + 1)
    }


def test_zone_and_servers_are_found_by_asking(zones: Zones) -> None:
    zones.change(f"update add {zones.domain}. 5 NS {zones.host}.{zones.domain}.")
    try:
        zones.level()

        look = Asked(zones).look()

        assert (look.name, look.zone.name) == (f"{NAME}.{zones.domain}", zones.domain)
        assert [(s.name, s.address) for s in look.zone.servers] == [
            (f"dns.{zones.domain}", zones.first),
            (f"{zones.host}.{zones.domain}", zones.second),
        ]
        assert look.agree
        assert look.target == f"ele01.{zones.domain}"
    finally:
        zones.change(f"update delete {zones.domain}. NS {zones.host}.{zones.domain}.")


def test_hosts_are_found_in_the_domains_this_machine_searches(zones: Zones) -> None:
    asked = Asked(zones)

    assert asked.here(lambda: asked.names.host_name("ele03", NAME)) == asked.target(
        "ele03"
    )
    with pytest.raises(PreconditionFailed, match="ele99 has no address in DNS"):
        asked.here(lambda: asked.names.host_name("ele99", NAME))


def test_a_name_that_somebody_else_moved_stays(zones: Zones) -> None:
    asked = Asked(zones)

    done = asked.move(
        "ele02", between=lambda: zones.set(NAME, f"60 CNAME ele03.{zones.domain}.")
    )

    assert (done.outcome, done.rcode) == (Outcome.UNEXPECTED, "NXRRSET")
    assert done.words == (
        f"{asked.full} does not point at {asked.target('ele01')} as expected, and was "
        f"left; dns.{zones.domain} says {asked.target('ele03')}."
    )
    assert zones.dig(asked.full, "CNAME") == asked.target("ele03") + "."


def test_a_name_that_points_there_already_is_fine(zones: Zones) -> None:
    asked, serial = Asked(zones), zones.serial()

    assert asked.move("ele01").outcome is Outcome.ALREADY
    assert zones.serial() == serial

    def by_hand() -> None:
        zones.set(NAME, f"60 CNAME ele02.{zones.domain}.")

    assert asked.move("ele02", between=by_hand).outcome is Outcome.ALREADY


def test_a_name_is_made_where_there_is_none(zones: Zones) -> None:
    asked = Asked(zones)
    zones.set(NAME)
    assert asked.prove().granted
    assert zones.dig(asked.full, "CNAME") == ""

    assert asked.move("ele02").outcome is Outcome.MOVED
    assert asked.look().primary.ttl == 300


def test_a_name_is_not_made_beside_what_came_meanwhile(zones: Zones) -> None:
    asked = Asked(zones)
    zones.set(NAME)

    done = asked.move("ele02", between=lambda: zones.set(NAME, "60 TXT taken"))

    assert (done.outcome, done.rcode) == (Outcome.UNEXPECTED, "YXDOMAIN")
    assert zones.dig(asked.full, "TXT") == '"taken"'


@pytest.mark.parametrize(
    ("record", "told"),
    [("60 A 192.0.2.7", "A 192.0.2.7"), ("60 TXT taken", "data of another kind")],
)
def test_a_name_that_is_no_cname_is_refused(
    zones: Zones, record: str, told: str
) -> None:
    zones.set(NAME, record)

    with pytest.raises(PreconditionFailed, match=f"has {told} in DNS"):
        Asked(zones).move("ele02")


def test_the_right_is_proved_without_changing_anything(zones: Zones) -> None:
    serial = zones.serial()

    proof = Asked(zones).prove()

    assert (proof.granted, proof.rcode) == (True, "NOERROR")
    assert "lets the key elephaas change" in proof.words
    assert zones.serial() == serial


@pytest.mark.parametrize(
    ("change", "rcode", "told"),
    [
        ({"name": "nobody"}, "BADKEY", "does not know the key"),
        (
            {"secret": base64.b64encode(b"wrong").decode()},
            "BADSIG",
            "another secret for the key",
        ),
    ],
)
def test_a_wrong_key_is_found_before_anything_is_moved(
    zones: Zones, change: dict[str, str], rcode: str, told: str
) -> None:
    asked = Asked(zones, key=replace(zones.key, **change))

    proof = asked.prove()

    assert (proof.granted, proof.rcode) == (False, rcode)
    assert told in proof.words
    done = asked.move("ele02")
    assert (done.outcome, done.rcode) == (Outcome.REFUSED, rcode)
    assert f"says {asked.target('ele01')}" in done.words
    assert zones.key.secret not in done.words


def test_a_policy_that_does_not_allow_it_is_found_before(zones: Zones) -> None:
    asked = Asked(zones, zones.second)

    assert asked.prove(f"open.{GUARDED}").granted
    proof = asked.prove(f"shut.{GUARDED}")

    assert (proof.granted, proof.rcode) == (False, "REFUSED")
    assert "policy does not let this key" in proof.words
    assert asked.move("ele02", f"shut.{GUARDED}").outcome is Outcome.REFUSED


def test_a_server_that_cannot_serve_the_zone_is_told(zones: Zones) -> None:
    manner = Manner(
        access=Access(),
        zones={BROKEN: Access(key=zones.key, servers=(zones.second,))},
        timeout=1.0,
    )
    asked = Asked(zones)
    asked.names = Nameserver(manner, SystemClock())

    look = asked.look(f"trade.{BROKEN}")

    assert look.words() == f"{zones.second} answered SERVFAIL"
    with pytest.raises(NameserverUnreachable, match="SERVFAIL"):
        asked.move("ele02", f"trade.{BROKEN}")


def test_a_hung_server_leaves_the_outcome_unknown_until_it_is_seen(
    zones: Zones,
) -> None:
    asked = Asked(zones)
    look = asked.look()

    def work() -> tuple[Moved, Moved]:
        with asked.names.prepare(look, asked.target("ele02")) as ready:
            with zones.hung("dns"):
                first = ready.send()
            # What waited at the hung server is carried out when it wakes up.
            eventually(
                lambda: zones.dig(asked.full, "CNAME") == asked.target("ele02") + ".",
                "the update is carried out",
            )
            return first, ready.send()

    first, again = asked.here(work)

    assert (first.outcome, first.rcode) == (Outcome.UNKNOWN, "")
    assert "did not answer within 1 s" in first.words
    assert first.seconds < 5
    assert again.outcome is Outcome.ALREADY


def test_a_hung_server_is_told_by_those_who_answer(zones: Zones) -> None:
    asked = Asked(zones, zones.first, zones.second)

    with zones.hung("ele04"):
        started = time.monotonic()
        look = asked.look()

    assert time.monotonic() - started < 3
    assert look.words() == (
        f"{asked.full} points at {asked.target('ele01')}; "
        f"{zones.second} did not answer within 1 s"
    )


def test_a_stale_server_is_named_until_it_has_caught_up(zones: Zones) -> None:
    asked = Asked(zones, zones.first, zones.second)
    lab, target = zones.lab, asked.target("ele02")
    look = asked.look()
    lab.partition(["dns"], ["ele04"])
    try:
        assert asked.move("ele02").is_done
        seen = asked.here(lambda: asked.names.await_everywhere(look, target, 0.5))
        assert [said.words() for said in seen.behind(target)] == [
            f"{zones.second} says {asked.target('ele01')}"
        ]
        assert seen.said[0].serial > seen.said[1].serial  # type: ignore[operator]
    finally:
        lab.heal("dns", "ele04")

    seen = asked.here(lambda: asked.names.await_everywhere(look, target, 30))

    assert seen.agree


def test_two_who_move_the_same_name_do_not_undo_each_other(zones: Zones) -> None:
    asked = Asked(zones)
    look = asked.look()

    def work() -> list[Moved]:
        hosts = ("ele02", "ele03", "ele02", "ele03")
        ready = [asked.names.prepare(look, asked.target(host)) for host in hosts]
        with ThreadPoolExecutor(len(ready)) as pool:
            done = list(pool.map(lambda each: each.send(), ready))
        for each in ready:
            each.close()
        return done

    done = asked.here(work)

    assert [each.rcode for each in done].count("NOERROR") == 1
    winner = zones.dig(asked.full, "CNAME").removesuffix(".")
    assert all(each.is_done is (each.target == winner) for each in done)


def test_a_prepared_move_costs_one_round_trip(
    zones: Zones, record_property: Callable[[str, object], None]
) -> None:
    asked = Asked(zones)
    taken = [asked.move(f"ele0{2 + turn % 2}").seconds for turn in range(10)]

    record_property("milliseconds", [round(1000 * each, 1) for each in taken])
    # Two messages, or a look beside the move, would be slower than the median of one.
    assert sorted(taken)[5] < 0.25
