"""One run: a herd at work, something asked of it, a fault, and the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from herds.errors import ElephaasError
from lab import LabError
from tests.lab.product import Product
from tests.nemesis import checker, mending
from tests.nemesis.arena import Arena
from tests.nemesis.asking import Asked, do
from tests.nemesis.by_hand import KINDS, ByHand
from tests.nemesis.checker import Violation, violations
from tests.nemesis.evidence import Ending, Evidence, Herd
from tests.nemesis.faults import FAULTS, Fault
from tests.nemesis.loss import Loss
from tests.nemesis.observer import Observer
from tests.nemesis.scenario import FAILOVER, Scenario
from tests.nemesis.scene import Scene
from tests.nemesis.writer import Writer

_HALTING = frozenset({"worker-killed", "worker-frozen", "metadata-restarted"})
"""Faults that no operation can end under."""

_WARM = 12  # commits before anything begins
_PLANNED_WITHIN = 30.0
_ENDED_WITHIN = 60.0
_TRUE_WITHIN = 5.0  # seconds after its end for what an operation says to be seen
_NOTICED_WITHIN = 15.0
"""The same where the new primary's host lost power: a WAL receiver finds that out with
the next status that it sends (PostgreSQL docs: wal_receiver_status_interval, 10 s)."""
_ATTEMPTS = 3
_AFTERWARDS = 0.15  # seconds of writes after the end


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a run."""

    scenario: Scenario
    evidence: Evidence
    struck: bool
    violations: tuple[Violation, ...]
    seconds: float

    @property
    def states(self) -> str:
        """How the operation ended, and each attempt after it."""
        return ", ".join(each.state for each in self.evidence.endings) or "-"

    @property
    def outage(self) -> float:
        """The longest time without an acknowledged commit."""
        return checker.outage(self.evidence)


class Run:
    """A run on one herd, from its last good state to its next one."""

    def __init__(self, arena: Arena, product: Product, scenario: Scenario) -> None:
        self.scenario = scenario
        self.scene = Scene(
            arena, product, scenario.herd, scenario.number, scenario.choose
        )
        self.fault: Fault = FAULTS[scenario.fault](self.scene, scenario.dice())
        self.loss = Loss(self.scene, scenario.loss)
        self._endings: list[Ending] = []
        self._hung: list[str] = []
        self._left_undone: list[str] = []
        self._announced: float | None = None
        self._struck = False
        self._struck_at = 0.0
        self._struck_when = datetime.now(UTC)
        self._latest: Asked | None = None
        self._before: Herd = {}
        self._fence: Mapping[str, str] = {}

    def play(self) -> Result:
        """Go through it all, and judge."""
        began = time.monotonic()
        scene = self.scene
        self._begin_whole()
        try:
            with Observer(scene.lab, scene.herd) as observer:
                with Writer(scene.lab, scene.herd, scene.run) as writer:
                    self._warm(writer)
                    self._before = scene.look()
                    try:
                        if self.scenario.moment.kind == "before":
                            self._strike()
                            self._write_on(writer, 1.0)
                        self._act()
                    finally:
                        self._mend()
                    self._bring_to_an_end()
                    self._write_on(writer, 6.0)
                finally_ = scene.look()
                cname = self._name()
                mended = mending.make_whole(scene, self._rightful())
                evidence = self._evidence(observer, writer)
        finally:
            self._mend()
        evidence = replace(
            evidence,
            finally_=finally_,
            cname=cname,
            whole_by=mended.by,
            whole_words=mended.words,
            whole=mended.herd,
        )
        return Result(
            scenario=self.scenario,
            evidence=evidence,
            struck=self._struck,
            violations=tuple(violations(evidence)),
            seconds=time.monotonic() - began,
        )

    def _begin_whole(self) -> None:
        """Have every member stream and the name lead to the primary."""
        scene = self.scene
        if not scene.all_follow(scene.look_until(scene.all_follow, 10)):
            mending.by_lab(scene)
        if scene.cname() != scene.old:
            scene.lead(scene.old)
        primaries = [
            member.server.hostname
            for member in scene.product.members(scene.herd)
            if member.is_primary
        ]
        if primaries != [scene.old]:
            # What an earlier run left there is not this run's matter.
            for host in scene.members:
                do(scene, "refresh", host)

    def _warm(self, writer: Writer) -> None:
        deadline = time.monotonic() + 10
        while len(writer.commits()) < _WARM:
            if time.monotonic() > deadline:
                raise LabError(f"The client cannot write to {self.scene.herd}.")
            time.sleep(0.01)

    # The story

    def _act(self) -> None:
        moment = self.scenario.moment
        if self._is_by_hand:
            self._act_by_hand()
            return
        if self._is_failover:
            self.loss.strike()
        asked = Asked.plan(self.scene, self.scenario.action, self.scene.candidate)
        if not asked.wait(lambda: not asked.is_planning(), _PLANNED_WITHIN):
            self._hung.append(f"no plan after {_PLANNED_WITHIN:g} s")
            return
        self.scene.operation = asked.operation.pk
        self._announced = asked.announced_loss()
        if moment.kind == "planned":
            self._strike()
        if self._is_failover:
            self._fence = self.loss.fence()
        if asked.told()[0] == "planned" and not self._say_yes(asked):
            return
        if moment.kind not in {"before", "planned"} and asked.wait_for(
            moment, _ENDED_WITHIN
        ):
            self._strike()
        self._see_the_end(asked)

    def _act_by_hand(self) -> None:
        moment = self.scenario.moment
        hand = ByHand(self.scene, self.scenario.action)
        hand.begin()
        if moment.kind not in {"before", "planned"} and hand.wait_for(moment, 30):
            self._strike()
        self._hold(hand.is_over)
        deadline = time.monotonic() + _ENDED_WITHIN
        while not hand.is_over() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _say_yes(self, asked: Asked) -> bool:
        refusal = asked.confirm(self._choices(), typed=self._typed(asked))
        if refusal:
            self._endings.append(self._ending(asked, "refused", refusal, self._before))
        return not refusal

    def _choices(self) -> Mapping[str, str]:
        choices = {
            "candidate": self.scene.candidate,
            "old_primary": self.scenario.old_primary,
        }
        return {**choices, **self._fence} if self._is_failover else choices

    def _typed(self, asked: Asked) -> Mapping[int, str]:
        row = asked.target()
        return {row.pk: self.scene.herd} if row and self._is_failover else {}

    @property
    def _is_by_hand(self) -> bool:
        return self.scenario.action in KINDS

    @property
    def _is_failover(self) -> bool:
        return self.scenario.action == FAILOVER

    def _strike(self) -> None:
        self._struck = True
        self.fault.strike()
        self._struck_at, self._struck_when = time.monotonic(), datetime.now(UTC)

    def _hold(self, is_over: Callable[[], bool]) -> None:
        """Let the fault last as drawn, and mend it if the operation goes on then."""
        if not self._struck or self.scenario.hold is None:
            return
        until = self._struck_at + self.scenario.hold
        while time.monotonic() < until and not is_over():
            time.sleep(0.005)
        if not is_over():
            self.fault.mend()

    def _see_the_end(self, asked: Asked) -> None:
        """Follow it to its end; what nobody can end as it is, is mended first."""
        self._hold(asked.is_over)
        if not asked.wait(asked.is_over, self._patience()):
            self.fault.mend()
            if not asked.wait(asked.is_over, _ENDED_WITHIN):
                state, words = asked.told()
                self._hung.append(f"still {state!r} after {_ENDED_WITHIN:g} s: {words}")
        state, words = asked.told()
        self._endings.append(self._ending(asked, state, words, self._before))
        self._latest = asked

    def _patience(self) -> float:
        """Give how long the operation may last while a fault lasts."""
        needs_mending = self.scenario.fault in _HALTING
        return 3.0 if needs_mending and self._struck else _ENDED_WITHIN

    def _ending(self, asked: Asked, state: str, words: str, before: Herd) -> Ending:
        """Look at the herd until it is as was said, or some seconds have passed."""
        scene = self.scene
        by_number = {
            member.pk: member.server.hostname
            for member in scene.product.members(scene.herd)
        }
        ending = Ending(
            state=state,
            outcome=words,
            candidate=scene.candidate,
            before=before,
            unfinished=frozenset(
                by_number.get(int(each.get("instance_id") or 0), "")
                for each in asked.follow_ups()
            ),
            reachable=frozenset(scene.reachable),
        )
        known = replace(self._evidence(None, None), endings=())

        def is_true(seen: Herd) -> bool:
            return not list(checker.untrue(replace(ending, herd=seen), known))

        within = _NOTICED_WITHIN if scene.candidate in scene.touched else _TRUE_WITHIN
        return replace(ending, herd=scene.look_until(is_true, within))

    # The end

    def _mend(self) -> None:
        self.fault.mend()
        if self._is_failover:
            self.loss.mend()
        self.scene.lab.heal()
        self.scene.await_hosts()
        self._fence = {}  # Its host can be reached: the product does it by itself.
        self.scene.reachable = set(self.scene.members) - self.scene.touched

    def _bring_to_an_end(self) -> None:
        """Resume or retry what did not come to a good end; do what it left to do."""
        if not self.scene.await_quiet():
            self._hung.append("another operation is still at work on the herd")
        self._lead_back()
        good = checker.GOOD
        if not self._is_failover:
            good |= checker.UNCHANGED
        for _ in range(_ATTEMPTS - 1):
            if not self._endings or self._hung or self._endings[-1].state in good:
                break
            before = self._helped()
            try:
                if not self._go_on(before):
                    break
            except ElephaasError as refused:
                self._hung.append(f"it cannot go on: {refused.sentence()}")
                break
        self._helped()  # Also what came down after the end of it all.
        if self._endings and self._endings[-1].state == "follow-ups":
            self._follow_up()

    def _lead_back(self) -> None:
        """Have the name led back that was led astray once the operation was over.

        The front page shows it and offers this; the operation's last look could not.
        """
        if self.scenario.fault != "dns-other-value" or not self._struck:
            return
        looked = self._latest.last_end_of("dns_read") if self._latest else None
        if looked is None or looked > self._struck_when:
            return
        state, words = do(self.scene, "refresh_dns", self._rightful())
        if state not in checker.GOOD:
            self._left_undone.append(f"refresh_dns: {words}")

    def _helped(self) -> Herd:
        """Start what the fault itself has brought down, as a person would first."""
        seen = self.scene.look()
        for host in sorted(self.scene.touched & set(seen)):
            if seen[host] is None and not (
                host == self.scene.old and self._is_failover
            ):
                do(self.scene, "start", host)
        return self.scene.look()

    def _go_on(self, before: Herd) -> bool:
        latest = self._latest
        if latest is None:
            return False
        if self._endings[-1].state == "interrupted":
            asked = latest.resumed()
        else:
            # A lost primary is still lost: somebody has to take over after all.
            action, host = self.scenario.action, self.scene.candidate
            asked = (
                Asked.plan(self.scene, action, host)
                if self._is_failover
                else latest.again()
            )
            if not asked.wait(lambda: not asked.is_planning(), _PLANNED_WITHIN):
                self._hung.append(f"no second plan after {_PLANNED_WITHIN:g} s")
                return False
            if asked.told()[0] == "planned":
                refusal = asked.confirm(self._choices(), typed=self._typed(asked))
                if refusal:
                    ending = self._ending(asked, "refused", refusal, before)
                    self._endings.append(ending)
                    return False
        if not asked.wait(asked.is_over, _ENDED_WITHIN):
            self._hung.append(f"resumed, it does not end in {_ENDED_WITHIN:g} s")
            return False
        state, words = asked.told()
        self._endings.append(self._ending(asked, state, words, before))
        self._latest = asked
        return True

    def _follow_up(self) -> None:
        scene = self.scene
        names = {
            member.pk: member.server.hostname
            for member in scene.product.members(scene.herd)
        }
        for each in self._latest.follow_ups() if self._latest else ():
            host = names.get(int(each.get("instance_id") or 0))
            if each.get("action") and host:
                state, words = do(scene, each["action"], host)
                if state not in checker.GOOD:
                    self._left_undone.append(f"{each['action']} {host}: {words}")

    def _write_on(self, writer: Writer, seconds: float) -> None:
        """Have more commits, where anybody takes them."""
        count, deadline = len(writer.commits()), time.monotonic() + seconds
        while len(writer.commits()) < count + _WARM and time.monotonic() < deadline:
            time.sleep(0.02)

    def _rightful(self) -> str:
        """Say who is to take writes after all."""
        writers = self.scene.writers(self.scene.look())
        if len(writers) == 1:
            return writers[0]
        good = any(each.state in checker.GOOD for each in self._endings)
        good = good or self._is_by_hand
        return self.scene.candidate if good else self.scene.old

    def _name(self) -> str | None:
        """Ask where the name leads; a hurried person's is nobody's matter."""
        return None if self._is_by_hand else self.scene.cname()

    def _evidence(self, observer: Observer | None, writer: Writer | None) -> Evidence:
        scene = self.scene
        return Evidence(
            action=self.scenario.action,
            fault=self.scenario.fault if self._struck else checker.NO_FAULT,
            old=scene.old,
            old_primary=self.scenario.old_primary,
            stretches=observer.stretches() if observer else (),
            commits=writer.commits() if writer else (),
            endings=tuple(self._endings),
            finally_={},
            announced_loss=self._announced,
            touched=frozenset(scene.touched),
            excused=frozenset(scene.excused),
            left_undone=tuple(self._left_undone),
            hung=tuple(self._hung),
        )
