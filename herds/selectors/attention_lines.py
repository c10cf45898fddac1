"""What a line of *Attention* is, and the words that all kinds of trouble share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Value, Window
from django.db.models.functions import Coalesce

from herds.models import Herd

from .trouble import Kind

APART = 3
"""Up to so many hosts or herds of an environment are told one by one."""

NOBODY = -1
"""In a list of keys: it is asked for even where there is nothing to ask for."""


@dataclass(frozen=True, kw_only=True)
class Help:
    """An action that helps, and the row whose page plans it.

    Attributes:
        action: the name of an action; ``resume`` and ``place`` for what is none.
        of: of an operation that can be resumed, its own action.
    """

    action: str
    model: str
    pk: int
    of: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that needs attention; ``model`` and ``pk`` name the page that tells.

    Attributes:
        words: a sentence that stays the same as long as the trouble does.
        environment: its name, empty where there is none.
        since: when it began, where that is known.
        seen_at: when what it says was seen.
        count: how many things of its kind it stands for.
    """

    kind: Kind
    words: str
    model: str
    pk: int
    environment: str = ""
    helps: tuple[Help, ...] = ()
    since: datetime | None = None
    seen_at: datetime | None = None
    count: int = 1

    @property
    def key(self) -> str:
        """What it is about and of which kind: the same as long as it lasts."""
        return f"{self.kind}:{self.model}:{self.pk}"


@dataclass(frozen=True, kw_only=True)
class Section:
    """The trouble of one kind.

    Attributes:
        total: how many things are in it, told or not.
    """

    kind: Kind
    lines: tuple[Line, ...]
    total: int

    @property
    def more(self) -> int:
        """How many no line tells of."""
        return self.total - sum(line.count for line in self.lines)


def in_total() -> Window:
    """Count all rows beside the few that are read."""
    return Window(Count("pk"))


def total_of(rows: Sequence[dict[str, Any]]) -> int:
    return int(rows[0]["total"]) if rows else 0


def named(column: str) -> Coalesce:
    return Coalesce(F(column), Value(""))


def environment_of(herd: Herd) -> str:
    return herd.environment.env_name if herd.environment else ""


def with_environment(name: str, environment: str) -> str:
    return f"{name} ({environment})" if environment else name


def place_name(environment: str) -> str:
    return environment or "No environment"


def joined(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))
