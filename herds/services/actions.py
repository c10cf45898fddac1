"""What an action is: one value that the engine, the pages and the terminal share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from herds.domain.outcome import Outcome
from herds.domain.plan import PlannedTarget

if TYPE_CHECKING:
    from herds.models import Instance

    from .target import Target

Planner = Callable[[Sequence["Instance"]], Sequence[PlannedTarget]]
"""Takes the chosen members of one herd and gives a plan for each, in their order."""

Examiner = Callable[["Target"], PlannedTarget]
"""Looks at one target and writes its plan from what it sees; changes nothing."""

Runner = Callable[["Target"], str | Outcome]
"""Does the work on one target and gives the sentence of what is true now."""

Narrower = Callable[[Sequence[int]], Sequence[int]]
"""Takes the ids of chosen instances and gives those that an action is about."""

Role = Literal["primary", "standby"]

MENUS = frozenset({"instance", "herd", "server"})
"""The menus whose objects stand for instances, by the names of their models."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing a DBA can ask for, over any selection of instances.

    Attributes:
        name: the word of the terminal and of the record, such as ``"restart"``.
        verb: begins the sentence and the button: ``"Restart"``.
        past: ends the sentence of success: ``"restarted"``.
        permission: what the person needs, such as ``"herds.restart_instance"``.
        words: one sentence that tells what it does.
        afterwards: what will be true once all targets have succeeded.
        plan: tells what will happen to the chosen members of a herd.
        run: does it to one target.
        examine: writes the plan anew from what is seen on the hosts, where the
            inventory does not tell enough; a worker does it.
        needs_members: whether it works with the other members of the herd too.
        confirm: whether a person reads the plan first.
        menus: the models whose menus and buttons offer it; one that is offered nowhere
            is begun by the pages that it belongs to.
        goes_back: whether the engine resumes by itself what a lost worker left: to take
            it back or, past the point of no return, to end it.
        narrow: of what was chosen, gives the one instance of each herd that a plan for
            the herd is about; None where every chosen instance is a target.
        destroys: whether it moves or destroys something: a second person may be
            asked about it, and the name of what it is done to.
        is_urgent: whether no freeze holds it up: it mends what is broken already.
        of_role: the role of those members that a herd's page offers it for, None for
            all; the plan judges it in earnest.
        of_running: whether those members run; None where that does not matter.
        labels: how menus name it whose objects are something else than its targets,
            by the name of the menu's model.
    """

    name: str
    verb: str
    past: str
    permission: str
    words: str
    afterwards: str
    plan: Planner
    run: Runner
    examine: Examiner | None = None
    needs_members: bool = False
    confirm: bool = True
    menus: Collection[str] = MENUS
    narrow: Narrower | None = None
    goes_back: bool = False
    destroys: bool = False
    is_urgent: bool = False
    of_role: Role | None = None
    of_running: bool | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def noun(self) -> str:
        """Name what a target of it is."""
        return "instance" if self.narrow is None else "herd"

    def label_in(self, menu: str) -> str:
        """Name the action among the bulk actions of a menu."""
        return self.labels.get(menu, f"{self.verb} selected {self.noun}s")

    def button_in(self, menu: str) -> str:
        """Name the action on the page of one object of a menu."""
        return self.labels.get(menu, self.verb.removesuffix(" of"))
