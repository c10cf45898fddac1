"""The plan page's content: herds in order, their checks, and what a yes has to say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib.admin.helpers import AdminForm
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

from herds.domain.plan import Verdict
from herds.domain.states import TargetState
from herds.domain.way import Part, way_of
from herds.models import Operation, OperationTarget
from herds.services.identity import identity_words

from . import badges
from . import operation_words as words
from .badges import Health

_CHOICE = re.compile(r"\d{1,19}\.[a-z_]{1,60}")
_DEMANDS = ("acknowledged_", "typed_")

UNFOLDED_TARGETS = 100
"""Up to so many targets all herds are unfolded; beyond, each is one line."""


@dataclass(frozen=True, kw_only=True)
class CheckRow:
    """One check of one container, as the page draws it."""

    hostname: str
    name: str
    how: str
    observed: str
    threshold: str
    verdict: Verdict
    observed_at: datetime | None

    @property
    def mark(self) -> SafeString:
        """Mark the verdict with icon, word and colour."""
        return words.verdict_mark(self.verdict)


_WORST_FIRST = (Verdict.STOP, Verdict.WARN, Verdict.OK)


@dataclass(frozen=True)
class Checks:
    """Checks under one another, folded while all of them are fine."""

    made: list[CheckRow]

    @property
    def rows(self) -> list[CheckRow]:
        """Every check, those that need attention first."""
        return sorted(self.made, key=lambda check: _WORST_FIRST.index(check.verdict))

    @property
    def number(self) -> int:
        """How many checks were made."""
        return len(self.made)

    @property
    def attention(self) -> int:
        """How many checks are not fine."""
        return sum(check.verdict is not Verdict.OK for check in self.made)

    @property
    def mark(self) -> SafeString:
        """Sum them up: icon, number and colour."""
        if any(check.verdict is Verdict.STOP for check in self.made):
            return badges.state(Health.FAILED, self._attention_words)
        if self.attention:
            return badges.state(Health.ATTENTION, self._attention_words)
        fine = "check is fine" if self.number == 1 else "checks are fine"
        return badges.state(Health.FINE, f"{self.number} {fine}")

    @property
    def _attention_words(self) -> str:
        need = "needs" if self.attention == 1 else "need"
        noun = "check" if self.number == 1 else "checks"
        return f"{self.attention} of {self.number} {noun} {need} attention"


@dataclass(frozen=True, kw_only=True)
class OptionRow:
    """One way to do it, possible or not."""

    value: str
    label: str
    why: str
    is_possible: bool
    is_chosen: bool


@dataclass(frozen=True, kw_only=True)
class ChoiceRow:
    """Something of a target that may be chosen otherwise than planned."""

    key: str
    label: str
    options: list[OptionRow]

    @property
    def chosen(self) -> str:
        """Name what is chosen, where it cannot be changed."""
        return next((each.label for each in self.options if each.is_chosen), "")


@dataclass(frozen=True, kw_only=True)
class TargetRow:
    """What will happen to one container, or why nothing will."""

    target: OperationTarget
    now: str
    will: str
    steps: list[str]
    refusal: str
    checks: Checks
    choices: list[ChoiceRow]
    typed: str
    afterwards: str
    identity: str
    seen_at: datetime | None
    way: tuple[Part, ...]

    @property
    def order(self) -> int:
        """When it goes within its herd, counted from one."""
        return self.target.wave + 1


@dataclass(kw_only=True)
class HerdPlan:
    """The containers of one herd that will be touched, in their order."""

    herd_key: str
    herd_name: str
    environment_name: str
    rows: list[TargetRow] = field(default_factory=list)

    @property
    def checks(self) -> Checks:
        """Every check of the herd."""
        return Checks([check for row in self.rows for check in row.checks.made])


@dataclass(frozen=True, kw_only=True)
class Warned:
    """A check that warns, on how many containers: what has to be acknowledged."""

    name: str
    hostnames: list[str]

    @property
    def words(self) -> str:
        """Say what the person has read."""
        number = len(self.hostnames)
        where = f"{number} containers" if number > 3 else ", ".join(self.hostnames)
        return f"I have read the warning “{self.name}” about {where}."


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything the plan page shows of an operation's targets."""

    herds: list[HerdPlan]
    refused: list[TargetRow]
    warnings: list[Warned]

    @property
    def going(self) -> int:
        """How many containers will be touched."""
        return sum(len(herd.rows) for herd in self.herds)

    @property
    def names(self) -> list[TargetRow]:
        """The targets that go only once a name was typed."""
        return [row for herd in self.herds for row in herd.rows if row.typed]

    @property
    def is_folded(self) -> bool:
        """Whether herds are one line each, because there are many."""
        return self.going > UNFOLDED_TARGETS


def plan_of(
    operation: Operation,
    *,
    herd_key: str | None = None,
    chosen: Mapping[str, str] | None = None,
) -> Plan:
    """Read the stored plan of an operation, or of one of its herds; one query.

    Args:
        operation: the operation whose plan is read.
        herd_key: leaves out the other herds where it is given.
        chosen: what was chosen on the page already, as ``choices_in`` reads it.
    """
    targets = operation.targets.order_by("position")
    if herd_key is not None:
        targets = targets.filter(herd_key=herd_key)
    rows = [_target_row(target, chosen or {}) for target in targets]
    going = [row for row in rows if not row.refusal]
    return Plan(
        herds=_by_herd(going),
        refused=[row for row in rows if row.refusal],
        warnings=_warnings(going),
    )


def choices_in(answer: Mapping[str, Any]) -> dict[str, str]:
    """Read from a form what was chosen, by ``<target id>.<name of the choice>``."""
    return {key: str(value) for key, value in answer.items() if _CHOICE.fullmatch(key)}


def _target_row(target: OperationTarget, chosen: Mapping[str, str]) -> TargetRow:
    plan: dict[str, Any] = target.plan
    return TargetRow(
        target=target,
        now=plan.get("now", ""),
        will=plan.get("will", ""),
        steps=plan.get("steps", []),
        refusal=_refusal(target),
        checks=checks_of(target),
        choices=[
            _choice_row(target, choice, chosen) for choice in plan.get("choices", [])
        ],
        typed=plan.get("typed", ""),
        afterwards=plan.get("afterwards", ""),
        identity=identity_words(plan.get("identity", {})),
        seen_at=parse_datetime(plan.get("identity", {}).get("seen_at", "")),
        way=way_of(plan),
    )


def _refusal(target: OperationTarget) -> str:
    """Say why this target cannot go; empty where it can."""
    if target.state == TargetState.REFUSED:
        return target.outcome or target.plan.get("refusal", "")
    # A target without a host is a whole herd, and never was an instance.
    is_gone = target.instance_id is None if target.hostname else target.herd_id is None
    if is_gone:
        return "It was removed from the inventory after this plan was made."
    return ""


def _choice_row(
    target: OperationTarget, choice: dict[str, Any], chosen: Mapping[str, str]
) -> ChoiceRow:
    key = f"{target.pk}.{choice['name']}"
    value = chosen.get(key, choice["default"])
    return ChoiceRow(
        key=key,
        label=choice["label"],
        options=[
            OptionRow(
                value=option["value"],
                label=option["label"],
                why=option["why"],
                is_possible=option["possible"],
                is_chosen=option["value"] == value,
            )
            for option in choice["options"]
        ],
    )


def checks_of(target: OperationTarget) -> Checks:
    """Give the checks that a target's plan rests on."""
    return Checks([_check_row(target, each) for each in target.plan.get("checks", [])])


def _check_row(target: OperationTarget, check: dict[str, Any]) -> CheckRow:
    seen = check.get("observed_at")
    return CheckRow(
        hostname=target.hostname,
        name=check["name"],
        how=check.get("how", ""),
        observed=check.get("observed", ""),
        threshold=check.get("threshold", ""),
        verdict=Verdict(check.get("verdict", Verdict.OK)),
        observed_at=parse_datetime(seen) if seen else None,
    )


def _by_herd(rows: Iterable[TargetRow]) -> list[HerdPlan]:
    herds: dict[str, HerdPlan] = {}
    for row in rows:
        target = row.target
        herd = herds.setdefault(
            target.herd_key,
            HerdPlan(
                herd_key=target.herd_key,
                herd_name=target.herd_name,
                environment_name=target.environment_name,
            ),
        )
        herd.rows.append(row)
    for herd in herds.values():
        herd.rows.sort(key=lambda row: (row.order, row.target.position))
    return list(herds.values())


def _warnings(rows: Iterable[TargetRow]) -> list[Warned]:
    hosts: dict[str, list[str]] = {}
    for row in rows:
        for check in row.checks.made:
            if check.verdict is Verdict.WARN:
                hosts.setdefault(check.name, []).append(check.hostname)
    return [Warned(name=name, hostnames=names) for name, names in hosts.items()]


class TypedNameField(forms.CharField):
    """A name that is typed to confirm what cannot be undone."""

    def __init__(self, row: TargetRow) -> None:
        target = row.target
        self.name = row.typed
        super().__init__(
            label=format_html("Type {} to confirm", badges.mono(self.name)),
            help_text=format_html(
                "{} {} {}",
                badges.environment(target.environment_name),
                badges.mono(target.hostname),
                row.will,
            ),
            error_messages={
                "required": f"Type {self.name} to go on, or cancel.",
                "differs": f"This is not {self.name}. Type it as it is written here.",
            },
            widget=forms.TextInput(
                attrs={"autocomplete": "off", "autocapitalize": "none",
                       "spellcheck": "false"}
            ),
        )  # fmt: skip

    def clean(self, value: Any) -> str:
        """Take the name alone, as it is written.

        Raises:
            ValidationError: nothing was typed, or something else.
        """
        typed = str(super().clean(value))
        if typed != self.name:
            raise forms.ValidationError(self.error_messages["differs"], "differs")
        return typed


class ConfirmForm(forms.Form):
    """The yes: a reason, what was acknowledged and typed, how a failure is taken."""

    reason = forms.CharField(
        required=False,
        max_length=2000,
        label="Reason",
        help_text="Optional. It stands in the record and in the History of each "
        "instance.",
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
    )
    stop_at_first_failure = forms.BooleanField(
        required=False,
        label="Stop at the first failure",
        help_text="Targets that have not begun by then are left alone. "
        "Otherwise a failing target stops no other.",
    )

    def __init__(
        self,
        *args: Any,
        warnings: Iterable[Warned],
        names: Iterable[TargetRow] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        for number, warned in enumerate(warnings):
            self.fields[f"acknowledged_{number}"] = forms.BooleanField(
                label=warned.words,
                error_messages={"required": "Tick this to go on, or cancel."},
            )
        for row in names:
            self.fields[f"typed_{row.target.pk}"] = TypedNameField(row)

    @property
    def typed(self) -> dict[int, str]:
        """What was typed, by the number of the target it is for."""
        return {
            int(name.removeprefix("typed_")): value
            for name, value in self.cleaned_data.items()
            if name.startswith("typed_")
        }

    def as_fieldsets(self) -> AdminForm:
        """Draw the form as the admin draws its own, what has to be said first."""
        boxes = [name for name in self.fields if name.startswith(_DEMANDS)]
        others = [name for name in self.fields if name not in boxes]
        fieldsets: list[tuple[str | None, dict[str, list[str]]]] = []
        if boxes:
            fieldsets.append(("Before you say yes", {"fields": boxes}))
        fieldsets.append((None, {"fields": others}))
        # It is typed for forms of models, but draws any.
        return AdminForm(cast(Any, self), fieldsets, {})
