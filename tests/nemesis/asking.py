"""Asks the product for an action as people do, and follows it by its own rows."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection

from herds.domain.states import ACTIVE_OPERATIONS, OperationState
from herds.errors import ElephaasError
from herds.models import Operation, OperationStep, OperationTarget
from herds.operations import requests
from tests.lab.product import ANNA, refreshed
from tests.nemesis.moment import Moment
from tests.nemesis.scene import Scene

_T = TypeVar("_T")
_PERIOD = 0.003  # seconds between looks at the steps
_EXACTLY = re.compile(r"([\d,]+) bytes of WAL")


def patiently(ask: Callable[[], _T], seconds: float = 30.0) -> _T:
    """Ask the metadata, again and again where its server is away."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (OperationalError, InterfaceError):
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class Asked:
    """One operation on the herd of a scene, from its plan to its end."""

    def __init__(self, scene: Scene, operation: Operation) -> None:
        self.scene = scene
        self.operation = operation
        self._began = 0.0

    @classmethod
    def plan(cls, scene: Scene, action: str, host: str) -> Asked:
        """Have a plan written in which a host takes over, or is acted on."""
        member = patiently(lambda: scene.product.instance(f"{scene.herd}@{host}"))
        return cls(scene, requests.draft(action, [member.pk], ANNA))

    def state(self) -> str:
        """Read the operation's state; empty while nobody can tell."""
        try:
            return str(refreshed(self.operation).state)
        except (OperationalError, InterfaceError):
            connection.close()
            return ""

    def is_planning(self) -> bool:
        """Tell whether the plan is still to be written."""
        return self.state() in {"", OperationState.PLANNING}

    def is_over(self) -> bool:
        """Tell whether it has ended in some way."""
        state = self.state()
        return bool(state) and state not in ACTIVE_OPERATIONS

    def target(self) -> OperationTarget | None:
        """Read its target."""
        return patiently(self.operation.targets.first)

    def confirm(self, choices: Mapping[str, str], **words: Any) -> str:
        """Say yes; give what was said against it."""
        try:
            requests.confirm(
                self.operation.pk, ANNA, acknowledged=True, choices=choices, **words
            )
        except ElephaasError as refused:
            return refused.sentence()
        finally:
            self._began = time.monotonic()
        return ""

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Wait for something; tell whether it came."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() > deadline:
                return False
            time.sleep(_PERIOD)
        return True

    def wait_for(self, moment: Moment, seconds: float) -> bool:
        """Wait for a moment of its run; False where its end comes first."""
        if moment.kind == "after-yes":
            self.wait(lambda: time.monotonic() - self._began >= moment.later, seconds)
            return True
        came = False

        def is_there() -> bool:
            nonlocal came
            came = self._has_come(moment)
            return came or self.is_over()

        self.wait(is_there, seconds)
        if came:
            time.sleep(moment.later)
        return came

    def _has_come(self, moment: Moment) -> bool:
        steps = OperationStep.objects.filter(
            target__operation=self.operation, name=moment.step
        )
        if moment.kind == "ended":
            steps = steps.exclude(state="running")
        try:
            return steps.exists()
        except (OperationalError, InterfaceError):
            connection.close()
            return False

    def last_end_of(self, step: str) -> datetime | None:
        """Read when a step of its ended last; None where it never did."""
        steps = OperationStep.objects.filter(
            target__operation=self.operation, name=step, finished_at__isnull=False
        )
        last = patiently(lambda: steps.order_by("-finished_at").first())
        return last.finished_at if last else None

    def follow_ups(self) -> list[dict[str, Any]]:
        """Read what its target says remains to be done."""
        row = self.target()
        return list(getattr(row, "follow_ups", None) or []) if row else []

    def announced_loss(self) -> float | None:
        """Read how many bytes its plan says may be lost."""
        row = self.target()
        for check in row.plan.get("checks", []) if row else []:
            if check["name"] == "Possible loss":
                found = _EXACTLY.match(check["observed"])
                return int(found[1].replace(",", "")) if found else math.inf
        return None

    def told(self) -> tuple[str, str]:
        """Read state and sentence of the target; the operation's where none tells."""
        operation, row = patiently(lambda: refreshed(self.operation)), self.target()
        if row is None:
            return operation.state, operation.outcome
        return str(row.state), row.outcome

    def resumed(self) -> Asked:
        """Have it go on."""
        patiently(lambda: requests.resume(self.operation.pk, ANNA))
        return self

    def again(self) -> Asked:
        """Have what did not succeed planned once more."""
        found = patiently(lambda: requests.retry(self.operation.pk, ANNA))
        return Asked(self.scene, found)


def do(scene: Scene, action: str, host: str, seconds: float = 45.0) -> tuple[str, str]:
    """Have an action done to one member, and give state and sentence of its end."""
    try:
        asked = Asked.plan(scene, action, host)
        if not asked.wait(lambda: not asked.is_planning(), seconds):
            return "hangs", f"{action} of {host} is not planned after {seconds:g} s"
        if asked.told()[0] == "planned":
            refusal = asked.confirm({})
            if refusal:
                return "refused", refusal
        if not asked.wait(asked.is_over, seconds):
            return "hangs", f"{action} of {host} has not ended after {seconds:g} s"
    except ElephaasError as error:
        return "refused", error.sentence()
    return asked.told()
