"""Writes down who did what to what, from where, in the transaction of the deed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from herds.models import AuditEntry, Operation

from .leave import Requester

EVENTS = (
    *("planned", "asked for", "approved", "declined", "confirmed"),
    *("cancelled", "resumed", "discarded"),
    *("added", "changed", "deleted", "placed", "imported"),
    *("accepted host key", "changed password"),
    *("logged in", "failed to log in", "logged out"),
)
"""Everything that is written down, by its word."""

_LONGEST = 400
_IMPORTED = {"environment": "system environment", "completed server": "server"}


def record(
    requester: Requester, event: str, operation: Operation, *, words: str = ""
) -> None:
    """Note a request about an operation.

    Args:
        requester: who asked.
        event: what was done with it: planned, confirmed, approved, cancelled, …
        operation: about which.
        words: the sentence that tells it.
    """
    environments = sorted(
        set(operation.targets.values_list("environment_name", flat=True)) - {""}
    )
    AuditEntry.objects.create(
        who=requester.name[:150],
        address=(requester.address or requester.source)[:100],
        event=event,
        kind="operation",
        name=operation.headline[:_LONGEST],
        number=str(operation.pk),
        environments=environments,
        after={"action": operation.action, "reason": operation.reason},
        words=words,
    )


def record_import(who: str, made: Sequence[tuple[str, str]]) -> None:
    """Note what an import made: kinds and names; all in one go."""
    AuditEntry.objects.bulk_create(
        [
            AuditEntry(
                who=who[:150],
                address="terminal",
                event="imported",
                kind=_IMPORTED.get(kind, kind),
                name=name[:_LONGEST],
            )
            for kind, name in made
        ],
        batch_size=1000,
    )


def record_change(
    who: str,
    address: str,
    event: str,
    *,
    kind: str = "",
    name: str = "",
    number: str = "",
    environments: Sequence[str] = (),
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    words: str = "",
) -> None:
    """Note a login, or a change of the inventory with what was there before."""
    AuditEntry.objects.create(
        who=who[:150],
        address=address[:100],
        event=event,
        kind=kind,
        name=name[:_LONGEST],
        number=number,
        environments=[each for each in environments if each],
        before=dict(before) if before is not None else None,
        after=dict(after) if after is not None else None,
        words=words,
    )
