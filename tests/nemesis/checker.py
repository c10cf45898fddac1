"""Judges the evidence of a run: which rules were broken, and by what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

from tests.nemesis.evidence import Ending, Evidence, Facts, Herd

NO_FAULT = "none"
FAILOVER = "failover"
GOOD = frozenset({"succeeded", "follow-ups"})
BACK = frozenset({"rolled back", "cancelled"})
UNCHANGED = BACK | {"refused"}
_BUG = "The program itself failed"
"""How the product says that it met an error of its own."""

_BLINK = 1.0  # seconds that a busy machine may keep the observer from asking


@dataclass(frozen=True)
class Violation:
    """A rule that was broken, and what shows it."""

    rule: str
    words: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.words}"


def violations(evidence: Evidence) -> list[Violation]:
    """Give every violation that the evidence shows; none is a run without blame."""
    return [
        Violation(rule, words)
        for rule, judge in RULES.items()
        if rule not in evidence.excused
        for words in judge(evidence)
    ]


def writers(herd: Herd) -> list[str]:
    """Give the members that take writes."""
    return [host for host, seen in herd.items() if seen and not seen.in_recovery]


def outage(evidence: Evidence) -> float:
    """Give the longest time without an acknowledged commit, in seconds."""
    times = sorted(commit.at for commit in evidence.commits)
    return max((later - at for at, later in pairwise(times)), default=0.0)


def lost(evidence: Evidence) -> list[int]:
    """Give the acknowledged commits that the last writer does not have."""
    _, seen = _last_writer(evidence)
    return sorted(
        commit.number for commit in evidence.commits if commit.number not in seen.rows
    )


def _last_writer(evidence: Evidence) -> tuple[str, Facts]:
    """Give who takes writes after all: where that was not one, who was left to."""
    for herd in (evidence.finally_, evidence.whole):
        found = writers(herd)
        seen = herd[found[0]] if len(found) == 1 else None
        if seen is not None:
            return found[0], seen
    return "nobody", Facts(in_recovery=True, timeline=0)


def _hangs(evidence: Evidence) -> Iterator[str]:
    yield from evidence.hung


def _overlaps(evidence: Evidence) -> Iterator[str]:
    for one, other in combinations(evidence.stretches, 2):
        both = min(one.until, other.until) - max(one.since, other.since)
        if one.host != other.host and both > 0:
            yield (
                f"{one.host} and {other.host} both took writes for {both * 1000:.1f} ms"
            )


def _blind(evidence: Evidence) -> Iterator[str]:
    """See that whoever took a commit was seen to take writes: the eyes were open."""
    for commit in evidence.commits:
        if not any(
            each.host == commit.host
            and each.since - _BLINK <= commit.at <= each.until + _BLINK
            for each in evidence.stretches
        ):
            yield f"{commit.host} took commit {commit.number} and was not seen to"
            return


def _bugs(evidence: Evidence) -> Iterator[str]:
    said = [each.outcome for each in evidence.endings]
    for words in (*said, *evidence.left_undone, evidence.whole_words):
        if _BUG in words:
            yield words


def _one_in_the_end(evidence: Evidence) -> Iterator[str]:
    found = writers(evidence.finally_)
    if len(found) != 1:
        yield f"{' and '.join(found) or 'nobody'} takes writes in the end"


def _losses(evidence: Evidence) -> Iterator[str]:
    missing = lost(evidence)
    if not missing:
        return
    writer, _ = _last_writer(evidence)
    words = (
        f"{len(missing)} of {len(evidence.commits)} acknowledged commits are not on "
        f"{writer} ({missing[0]} to {missing[-1]})"
    )
    if evidence.action != FAILOVER:
        yield words
        return
    if evidence.announced_loss is None:
        yield f"{words}, and the plan said nothing of a loss"
        return
    size = _bytes_lost(evidence, missing)
    if size > evidence.announced_loss:
        yield f"{words}: {size} bytes, where {evidence.announced_loss} were announced"


def _bytes_lost(evidence: Evidence, missing: list[int]) -> int:
    """Give the WAL from the first lost commit to the last one, in bytes."""
    gone = set(missing)
    positions = [each.position for each in evidence.commits if each.number in gone]
    return max(positions) - min(positions)


def _name(evidence: Evidence) -> Iterator[str]:
    found = writers(evidence.finally_)
    if len(found) == 1 and evidence.cname not in {None, found[0]}:
        yield (
            f"the virtual host leads to {evidence.cname or 'nowhere'}, and "
            f"{found[0]} takes writes"
        )


def _rows_of_operations(evidence: Evidence) -> Iterator[str]:
    for ending in evidence.endings:
        for words in untrue(ending, evidence):
            yield f"it says {ending.state!r}, and {words}"


def untrue(ending: Ending, evidence: Evidence) -> Iterator[str]:
    """Give what is not as the state of an operation says, at the time of its end."""
    if ending.state in GOOD:
        yield from _not_switched(ending, evidence)
    elif ending.state in BACK and evidence.action == FAILOVER:
        yield from _promoted(ending, evidence)
    elif ending.state in BACK:
        yield from _not_back(ending, evidence)
    elif ending.state == "refused":
        yield from _changed(ending, evidence)


def _not_switched(ending: Ending, evidence: Evidence) -> Iterator[str]:
    new = ending.herd.get(ending.candidate)
    if new is None or new.in_recovery:
        if ending.candidate in ending.reachable - evidence.touched:
            yield f"{ending.candidate} does not take writes"
        return
    exempt = {ending.candidate} | ending.unfinished | evidence.touched
    if evidence.old_primary == "prepared":
        exempt |= {evidence.old}
        if ending.herd.get(evidence.old) and evidence.old not in evidence.touched:
            yield f"{evidence.old} runs, which was to be left stopped"
    for host in sorted(ending.reachable - exempt):
        if not _follows(ending.herd.get(host), host, new):
            yield f"{host} does not stream its timeline {new.timeline}"


def _follows(seen: Facts | None, host: str, primary: Facts) -> bool:
    return (
        seen is not None
        and seen.in_recovery
        and seen.receiving
        and seen.timeline == primary.timeline
        and host in primary.followers
    )


def _not_back(ending: Ending, evidence: Evidence) -> Iterator[str]:
    old, before = ending.herd.get(evidence.old), ending.before.get(evidence.old)
    if old is None or old.in_recovery:
        if evidence.old in ending.reachable:
            yield f"{evidence.old} does not take writes again"
        return
    if before is not None and old.timeline != before.timeline:
        yield f"{evidence.old} writes on timeline {old.timeline}, not {before.timeline}"
    exempt = {evidence.old} | ending.unfinished | evidence.touched
    for host in sorted(ending.reachable - exempt):
        if not _follows(ending.herd.get(host), host, old):
            yield f"{host} does not stream from {evidence.old}"


def _promoted(ending: Ending, evidence: Evidence) -> Iterator[str]:
    """A lost primary does not come back; no standby may have taken over, though."""
    for host in writers(ending.herd):
        if host != evidence.old:
            yield f"{host} takes writes"


def _changed(ending: Ending, evidence: Evidence) -> Iterator[str]:
    for host in sorted(ending.reachable - evidence.touched):
        before, now = ending.before.get(host), ending.herd.get(host)
        if before is None:
            continue
        if now is None or now.in_recovery != before.in_recovery:
            yield f"{host} is not what it was"
        elif now.began != before.began:
            yield f"{host} was started anew"


def _ends(evidence: Evidence) -> Iterator[str]:
    yield from evidence.left_undone
    if not evidence.endings:
        return
    last = evidence.endings[-1]
    if last.state not in GOOD | UNCHANGED:
        yield f"after the heal it ends as {last.state!r}: {last.outcome}"
    first = evidence.endings[0]
    # An emergency copy is left stopped on purpose, and a lost primary fenced; both stay
    # to be brought back.
    stays = evidence.old_primary == "prepared" or evidence.action == FAILOVER
    left = {evidence.old} if stays else set()
    is_clean = first.state in GOOD and first.unfinished <= left
    if evidence.fault == NO_FAULT and not is_clean:
        yield f"nothing was done to it, and it ends as {first.state!r}: {first.outcome}"


def _wholeness(evidence: Evidence) -> Iterator[str]:
    if evidence.whole_by != "product":
        yield f"the product could not make it whole: {evidence.whole_words}"
        return
    found = writers(evidence.whole)
    primary = evidence.whole.get(found[0]) if len(found) == 1 else None
    if primary is None:
        yield f"made whole, {' and '.join(found) or 'nobody'} takes writes"
        return
    for host, seen in evidence.whole.items():
        if host == found[0]:
            continue
        if not _follows(seen, host, primary):
            yield f"made whole, {host} does not stream from {found[0]}"
        elif seen is not None and seen.rows != primary.rows:
            wrong = len(seen.rows ^ primary.rows)
            yield f"made whole, {host} differs from {found[0]} in {wrong} rows"


RULES: Mapping[str, Callable[[Evidence], Iterator[str]]] = {
    "everything ends": _hangs,
    "the program itself is right": _bugs,
    "one writer at a time": _overlaps,
    "nobody writes unseen": _blind,
    "one writer in the end": _one_in_the_end,
    "no commit lost": _losses,
    "the name leads to the writer": _name,
    "the operation tells the truth": _rows_of_operations,
    "a good end": _ends,
    "whole again by the product": _wholeness,
}
"""The rules, by the names that ``Evidence.excused`` uses."""
