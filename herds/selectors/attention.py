"""What needs a person now, worst first: each a sentence, and what helps.

Trouble of one kind is told line by line up to a bound; what many instances share, such
as a network that is down, is one line an environment. The number of queries does not
depend on how much there is.
"""

from __future__ import annotations

from .attention_herds import herds
from .attention_lines import Help, Line, Section
from .attention_members import fences, members
from .attention_unseen import unseen
from .attention_waiting import (
    hosts_to_place,
    instances_to_place,
    interrupted,
    no_worker,
)
from .trouble import Kind

__all__ = ["Help", "Kind", "Line", "Section", "attention", "survey"]

SHOWN = 5
"""Lines of one kind on the front page, at most; the rest is in the lists."""

LONGEST = 100
"""Lines of one kind that are told to people elsewhere, at most."""


def attention() -> list[Line]:
    """Give what needs a person, worst first, in a fixed number of queries."""
    return [line for section in survey(LONGEST) for line in section.lines]


def survey(most: int = SHOWN) -> list[Section]:
    """Give a section for every kind, worst first; one without trouble is empty.

    Args:
        most: lines of a kind.
    """
    found = {
        section.kind: section
        for section in (
            *herds(most),
            *fences(most),
            no_worker(),
            interrupted(most),
            *members(most),
            unseen(most),
            hosts_to_place(most),
            instances_to_place(most),
        )
    }
    return [found[kind] for kind in Kind]
