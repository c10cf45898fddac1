"""Follows the shell's quotes through a template, and quotes a value where it stands."""

from __future__ import annotations

import re
import shlex
from enum import Enum


class QuotingProblem(ValueError):
    """A text whose quotes cannot be followed with certainty; it says why."""


class Place(Enum):
    """Where something stands in a command line."""

    BARE = "bare"
    SINGLE = "'"
    DOUBLE = '"'


class Quotes:
    """Follows quotes and parentheses (POSIX.1 Shell Command Language, 2.2 and 2.6).

    ``$(`` begins a context of its own, inside double quotes too.
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        self._last = ""  # the character before, unless it means only itself

    @property
    def place(self) -> Place:
        """Where the next character stands."""
        inside = self._inside()
        return Place(inside) if inside in {"'", '"'} else Place.BARE

    def read(self, literal: str) -> None:
        """Go on through the next piece of literal text.

        Raises:
            QuotingProblem: what comes after it could not be told with certainty.
        """
        for character in literal:
            if self._inside() == "'":
                if character == "'":
                    self._open.pop()
            elif self._last == "\\":
                self._last = ""
            else:
                self._refuse_uncertain(character)
                self._follow(character)
                self._last = "" if character == "'" else character

    def admit(self, field: str) -> None:
        """Let the value of a field stand here.

        Raises:
            QuotingProblem: the character before it would change its meaning.
        """
        if self._last == "\\":
            raise QuotingProblem(f"a backslash cannot stand right before {{{field}}}")
        if self._last == "$":
            raise QuotingProblem(
                f"a '$' cannot stand right before {{{field}}}; "
                "the braces of the shell are doubled"
            )
        self._last = ""

    def end(self) -> None:
        """End the text.

        Raises:
            QuotingProblem: something is still open.
        """
        if self._open:
            what = "parenthesis" if self._inside() == "(" else "quotation mark"
            raise QuotingProblem(f"a {what} is not closed")

    def _inside(self) -> str:
        return self._open[-1] if self._open else ""

    def _refuse_uncertain(self, character: str) -> None:
        """Refuse what this class does not follow, so that nothing is taken wrongly."""
        if character == "`":
            raise QuotingProblem("a backtick cannot be followed; write $(...)")
        if self._inside() == '"':
            return
        if character == self._last == "<":
            raise QuotingProblem("a here-document cannot be followed")
        if self._last == "$" and character in {"'", '"'}:
            raise QuotingProblem("a '$' cannot stand right before a quotation mark")

    def _follow(self, character: str) -> None:
        inside = self._inside()
        opens = {
            '"': True,
            "'": inside != '"',
            "(": inside != '"' or self._last == "$",
        }
        if (inside, character) in {('"', '"'), ("(", ")")}:
            self._open.pop()
        elif opens.get(character):
            self._open.append(character)


def quote(value: str, place: Place) -> str:
    """Write a value so that the shell takes it as it is (POSIX.1, 2.2).

    Args:
        value: any text without a NUL byte.
        place: where it will stand; in quotes they are not repeated.
    """
    if place is Place.SINGLE:
        return value.replace("'", "'\\''")
    if place is Place.DOUBLE:
        return re.sub(r'([\\"$`])', r"\\\1", value)
    return shlex.quote(value)
