"""The nemesis' judge: it finds what is planted, and nothing where all went well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.nemesis.checker import RULES, outage, violations
from tests.nemesis.evidence import Commit, Ending, Evidence, Facts, Stretch
from tests.nemesis.faults import FAULTS
from tests.nemesis.scenario import draw

ROWS = frozenset(range(1, 101))
MEMBERS = frozenset({"old", "new", "sib"})


def primary(timeline: int, *followers: str, **facts: Any) -> Facts:
    return Facts(
        in_recovery=False,
        timeline=timeline,
        followers=frozenset(followers),
        **{"rows": ROWS, "began": "1", **facts},
    )


def standby(timeline: int, **facts: Any) -> Facts:
    return Facts(
        in_recovery=True,
        timeline=timeline,
        **{"receiving": True, "rows": ROWS, "began": "1", **facts},
    )


BEFORE = {"old": primary(1, "new", "sib"), "new": standby(1), "sib": standby(1)}
SWITCHED: Mapping[str, Facts | None] = {
    "old": standby(2),
    "new": primary(2, "old", "sib"),
    "sib": standby(2),
}
SUCCEEDED = Ending(
    state="succeeded",
    outcome="",
    candidate="new",
    before=BEFORE,
    herd=SWITCHED,
    reachable=MEMBERS,
)
ROLLED_BACK = replace(SUCCEEDED, state="rolled back", herd=BEFORE)
REFUSED = replace(SUCCEEDED, state="refused", herd=BEFORE)

GOOD = Evidence(
    action="switchover",
    fault="worker-killed",
    old="old",
    old_primary="rejoin",
    stretches=(
        Stretch(host="old", since=0.0, until=5.0),
        Stretch(host="new", since=5.1, until=9.0),
    ),
    commits=tuple(
        Commit(number=number, at=number / 20, position=1000 * number, host="old")
        for number in sorted(ROWS)
    ),
    endings=(SUCCEEDED,),
    finally_=SWITCHED,
    cname="new",
    whole=SWITCHED,
)

BACK = replace(GOOD, endings=(ROLLED_BACK,), finally_=BEFORE, cname="old", whole=BEFORE)


def ending(base: Ending = SUCCEEDED, **changes: Any) -> Evidence:
    """Give the good evidence with another end of the operation."""
    good = BACK if base in (ROLLED_BACK, REFUSED) else GOOD
    return replace(good, endings=(replace(base, **changes),))


def herd(base: Ending = SUCCEEDED, /, **members: Facts | None) -> Evidence:
    """Give the good evidence with other members at the end of the operation."""
    return ending(base, herd={**base.herd, **members})


FEWER: Mapping[str, Facts | None] = {
    "old": standby(2, rows=ROWS - {9}),
    "new": primary(2, "old", "sib", rows=ROWS - {9}),
    "sib": standby(2, rows=ROWS - {9}),
}
PREPARED = replace(GOOD, old_primary="prepared")
FAILOVER = replace(
    GOOD, action="failover", announced_loss=5000, touched=frozenset({"old"})
)

BLAMELESS = {
    "switched": GOOD,
    "switched, nothing done to it": replace(GOOD, fault="none"),
    "rolled back": BACK,
    "cancelled": ending(ROLLED_BACK, state="cancelled"),
    "refused": ending(REFUSED),
    "the old primary left stopped": replace(
        PREPARED, endings=(replace(SUCCEEDED, herd={**SWITCHED, "old": None}),)
    ),
    "a sibling out of reach": ending(
        herd={**SWITCHED, "sib": None}, reachable=MEMBERS - {"sib"}
    ),
    "a failover that leaves the lost primary fenced": replace(
        FAILOVER,
        fault="none",
        endings=(
            replace(
                SUCCEEDED,
                state="follow-ups",
                herd={**SWITCHED, "old": None},
                unfinished=frozenset({"old"}),
            ),
        ),
    ),
    "the emergency copy left to a follow-up": replace(
        PREPARED,
        fault="none",
        endings=(
            replace(
                SUCCEEDED,
                state="follow-ups",
                herd={**SWITCHED, "old": None},
                unfinished=frozenset({"old"}),
            ),
        ),
    ),
    "a sibling left to a follow-up": ending(
        state="follow-ups",
        herd={**SWITCHED, "sib": None},
        unfinished=frozenset({"sib"}),
    ),
    "interrupted, then resumed": replace(
        GOOD, endings=(replace(SUCCEEDED, state="interrupted", herd={}), SUCCEEDED)
    ),
    "stretches that touch": replace(
        GOOD,
        stretches=(
            Stretch(host="old", since=0.0, until=5.0),
            Stretch(host="new", since=5.0, until=9.0),
        ),
    ),
    "a failover that lost what was announced": replace(
        FAILOVER,
        finally_={**SWITCHED, "new": primary(2, "sib", rows=ROWS - {98, 99, 100})},
    ),
    "a failover rolled back, then done": replace(
        FAILOVER,
        endings=(
            replace(ROLLED_BACK, herd={**BEFORE, "old": None}),
            replace(SUCCEEDED, herd={**SWITCHED, "old": None}),
        ),
    ),
    "two writers by the fault's own doing": replace(
        GOOD,
        stretches=(*GOOD.stretches, Stretch(host="old", since=6.0, until=7.0)),
        excused=frozenset({"one writer at a time"}),
    ),
    "the name not asked for": replace(GOOD, cname=None),
}

PLANTED = {
    "two writers": (
        replace(
            GOOD,
            stretches=(*GOOD.stretches, Stretch(host="old", since=6.0, until=6.001)),
        ),
        "one writer at a time",
        "new and old both took writes for 1.0 ms",
    ),
    "a writer that was not seen": (
        replace(
            GOOD,
            commits=(*GOOD.commits, Commit(number=100, at=8, position=0, host="sib")),
        ),
        "nobody writes unseen",
        "sib took commit 100 and was not seen to",
    ),
    "two writers in the end": (
        replace(GOOD, finally_={**SWITCHED, "old": primary(1)}),
        "one writer in the end",
        "old and new takes writes",
    ),
    "no writer": (
        replace(GOOD, finally_={**SWITCHED, "new": standby(1)}),
        "one writer in the end",
        "nobody takes writes",
    ),
    "a lost commit": (
        replace(GOOD, finally_={**SWITCHED, "new": primary(2, rows=ROWS - {57})}),
        "no commit lost",
        "1 of 100 acknowledged commits are not on new (57 to 57)",
    ),
    "a lost commit, although rolled back": (
        replace(BACK, finally_={**BEFORE, "old": primary(1, rows=ROWS - {3})}),
        "no commit lost",
        "not on old",
    ),
    "a failover that lost more than announced": (
        replace(
            FAILOVER,
            finally_={**SWITCHED, "new": primary(2, rows=frozenset(range(1, 91)))},
        ),
        "no commit lost",
        "9000 bytes, where 5000 were announced",
    ),
    "a failover that announced nothing": (
        replace(
            FAILOVER,
            announced_loss=None,
            finally_={**SWITCHED, "new": primary(2, rows=ROWS - {100})},
        ),
        "no commit lost",
        "said nothing of a loss",
    ),
    "a lost commit that one of two writers had": (
        replace(
            GOOD,
            finally_={**SWITCHED, "old": primary(1)},
            whole=FEWER,
            excused=frozenset({"one writer in the end"}),
        ),
        "no commit lost",
        "are not on new",
    ),
    "a failover rolled back, and yet promoted": (
        replace(FAILOVER, endings=(replace(ROLLED_BACK, herd=SWITCHED), SUCCEEDED)),
        "the operation tells the truth",
        "'rolled back', and new takes writes",
    ),
    "the name left behind": (
        replace(GOOD, cname="old"),
        "the name leads to the writer",
        "leads to old, and new takes writes",
    ),
    "the name gone": (
        replace(GOOD, cname=""),
        "the name leads to the writer",
        "leads to nowhere",
    ),
    "succeeded, not promoted": (
        herd(new=standby(1)),
        "the operation tells the truth",
        "'succeeded', and new does not take writes",
    ),
    "succeeded, a sibling on the old timeline": (
        herd(sib=standby(1)),
        "the operation tells the truth",
        "sib does not stream its timeline 2",
    ),
    "succeeded, a sibling that receives nothing": (
        herd(sib=standby(2, receiving=False)),
        "the operation tells the truth",
        "sib does not stream",
    ),
    "succeeded, a sibling that streams from somebody else": (
        herd(new=primary(2, "old")),
        "the operation tells the truth",
        "sib does not stream",
    ),
    "succeeded, the old primary not rejoined": (
        herd(old=None),
        "the operation tells the truth",
        "old does not stream",
    ),
    "succeeded, the old primary running that was to be stopped": (
        replace(PREPARED, endings=(SUCCEEDED,)),
        "the operation tells the truth",
        "old runs, which was to be left stopped",
    ),
    "follow-ups that do not name who is left": (
        ending(
            state="follow-ups",
            herd={**SWITCHED, "sib": None},
            unfinished=frozenset({"old"}),
        ),
        "the operation tells the truth",
        "sib does not stream",
    ),
    "rolled back, and nobody started it": (
        herd(ROLLED_BACK, old=None),
        "the operation tells the truth",
        "old does not take writes again",
    ),
    "cancelled, and nobody started it": (
        replace(
            BACK,
            endings=(
                replace(ROLLED_BACK, state="cancelled", herd={**BEFORE, "old": None}),
            ),
        ),
        "the operation tells the truth",
        "'cancelled', and old does not take writes again",
    ),
    "rolled back on another timeline": (
        herd(ROLLED_BACK, old=primary(3, "new", "sib"), new=standby(3), sib=standby(3)),
        "the operation tells the truth",
        "timeline 3, not 1",
    ),
    "rolled back without its followers": (
        herd(ROLLED_BACK, old=primary(1, "new")),
        "the operation tells the truth",
        "sib does not stream from old",
    ),
    "refused, and yet restarted": (
        herd(REFUSED, sib=standby(1, began="2")),
        "the operation tells the truth",
        "sib was started anew",
    ),
    "refused, and yet promoted": (
        herd(REFUSED, new=primary(2)),
        "the operation tells the truth",
        "new is not what it was",
    ),
    "failed for good": (
        ending(state="failed", outcome="It broke."),
        "a good end",
        "it ends as 'failed': It broke.",
    ),
    "an error of the program": (
        replace(
            GOOD,
            endings=(
                replace(
                    SUCCEEDED,
                    state="failed",
                    outcome="The program itself failed while it worked on new.",
                ),
                SUCCEEDED,
            ),
        ),
        "the program itself is right",
        "itself failed while it worked on new",
    ),
    "left interrupted": (ending(state="interrupted"), "a good end", "interrupted"),
    "nothing done to it, and a sibling left to a follow-up": (
        replace(
            ending(state="follow-ups", unfinished=frozenset({"sib"})), fault="none"
        ),
        "a good end",
        "it ends as 'follow-ups'",
    ),
    "nothing done to it, and rolled back": (
        replace(BACK, fault="none"),
        "a good end",
        "nothing was done to it, and it ends as 'rolled back'",
    ),
    "a follow-up that cannot be done": (
        replace(GOOD, left_undone=("rebuild sib: no",)),
        "a good end",
        "rebuild sib: no",
    ),
    "an operation that never ends": (
        replace(GOOD, hung=("still 'running' after 60 s",)),
        "everything ends",
        "still 'running'",
    ),
    "made whole by the lab": (
        replace(GOOD, whole_by="lab", whole_words="rebuild sib: failed"),
        "whole again by the product",
        "rebuild sib: failed",
    ),
    "whole, with a standby behind": (
        replace(GOOD, whole={**SWITCHED, "sib": standby(2, rows=ROWS - {1, 2})}),
        "whole again by the product",
        "sib differs from new in 2 rows",
    ),
    "whole, with a standby that is lost": (
        replace(GOOD, whole={**SWITCHED, "sib": None}),
        "whole again by the product",
        "sib does not stream from new",
    ),
}


@pytest.mark.parametrize("name", BLAMELESS)
def test_a_run_without_fault_of_the_product_breaks_no_rule(name: str) -> None:
    assert violations(BLAMELESS[name]) == []


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found_by_its_rule(name: str) -> None:
    evidence, rule, words = PLANTED[name]
    found = violations(evidence)
    assert [each.rule for each in found] == [rule]
    assert words in found[0].words


def test_every_rule_can_be_broken() -> None:
    assert {rule for _, rule, _ in PLANTED.values()} == set(RULES)


def test_the_outage_is_the_longest_time_without_an_acknowledgement() -> None:
    times = (0.0, 0.01, 0.35, 0.36)
    commits = tuple(
        Commit(number=number, at=at, position=0, host="")
        for number, at in enumerate(times)
    )
    assert outage(replace(GOOD, commits=commits)) == pytest.approx(0.34)


def test_a_seed_draws_the_same_run_again_whatever_was_drawn_before() -> None:
    where = {"herds": ("trade", "quote"), "actions": ("switchover", "failover")}
    drawn = [draw(4, number, **where) for number in range(300)]
    assert draw(4, 77, **where) == drawn[77]
    assert draw(5, 77, **where) != drawn[77]


def test_every_fault_is_drawn_where_it_fits_and_only_there() -> None:
    where = {"herds": ("trade", "quote"), "actions": ("switchover", "failover")}
    drawn = [draw(4, number, **where) for number in range(2000)]
    assert {each.fault for each in drawn} == set(FAULTS)
    assert all(FAULTS[each.fault].fits(each.action, each.herd) for each in drawn)
