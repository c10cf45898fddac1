"""Small marks for facts: states, environments, ages, sizes, names to copy.

Every mark is text first; its colour comes from ``static/herds/herds.css`` and repeats
what the text says. Templates use the same marks through ``{% load badges %}``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from zlib import crc32

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from herds import conf
from herds.domain.words import duration_in_words as duration_in_words
from herds.domain.words import size as size
from herds.selectors.clock import metadata_now

AGENT_INTERVAL = 60.0
"""Seconds between an agent's reports where nothing changes (its ``heartbeat``)."""

ENVIRONMENT_HUES = 6
"""How many hues the style sheet has for environments without a hue of their own."""

_PIECES = re.compile(r"[^/.]*[/.]?")

_NAMED_ENVIRONMENTS = {
    "prod": "prod",
    "production": "prod",
    "live": "prod",
    "stage": "stage",
    "staging": "stage",
    "uat": "stage",
    "dev": "dev",
    "devel": "dev",
    "development": "dev",
}


class Health(StrEnum):
    """The five states of the whole admin; everything drawn is one of them."""

    FINE = "fine"
    WORKING = "working"
    ATTENTION = "attention"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def icon(self) -> str:
        """Return the sign that stands for this state beside its word."""
        return _ICONS[self]


_ICONS = {
    Health.FINE: "✔",
    Health.WORKING: "◐",
    Health.ATTENTION: "▲",
    Health.FAILED: "✖",
    Health.UNKNOWN: "?",
}


def state(health: Health | str, word: str, title: str = "") -> SafeString:
    """Mark a state with icon, word and colour.

    ``title`` is shown when pointed at: since when, or why.
    """
    health = Health(health)
    return format_html(
        '<span class="ele-state ele-state--{}"{}>'
        '<span class="ele-state__icon" aria-hidden="true">{}</span> {}</span>',
        health.value,
        _title(title),
        health.icon,
        word,
    )


def environment(name: str | None) -> SafeString:
    """Mark an environment with its name and the colour band of that name.

    A colour that was chosen for it comes from the site's own style sheet (see
    ``environments.py``), which finds the mark by the name.
    """
    return format_html(
        '<span class="ele-env ele-env--{}" data-environment="{}">{}</span>',
        environment_hue(name),
        name or "",
        name or "no environment",
    )


def environment_hue(name: str | None) -> str:
    """Return the suffix of the style class for an environment of this name.

    The hue depends on the name alone, so that an environment looks the same on every
    page and after every restart.
    """
    if not name:
        return "none"
    # The first word decides, so that prod-eu and prod2 are prod and non-prod is not.
    first_word = re.split(r"[^a-z]", name.strip().lower(), maxsplit=1)[0]
    known = _NAMED_ENVIRONMENTS.get(first_word)
    return known or f"hue{crc32(name.lower().encode()) % ENVIRONMENT_HUES}"


def beside_environment(text: str, environment_name: str | None) -> SafeString:
    """Mark a herd's or an instance's name with its environment beside it."""
    return format_html(
        '<span class="ele-named">{} {}</span>', text, environment(environment_name)
    )


def mono(text: object) -> SafeString:
    """Mark a host name, path, LSN or command: monospace, selected whole by a click."""
    return format_html('<code class="ele-mono">{}</code>', text)


def breakable(text: str) -> SafeString:
    """Mark a long path or name like ``mono``, with leave to break it where it is read.

    The places to break at are no characters, so what is copied is the text itself.
    """
    pieces = format_html_join(
        mark_safe("<wbr>"), "{}", ((piece,) for piece in _PIECES.findall(text))
    )
    return format_html('<code class="ele-mono">{}</code>', pieces)


def number(value: object) -> SafeString:
    """Mark a number, so that it aligns right and its digits have one width."""
    return format_html('<span class="ele-num">{}</span>', value)


def exact(moment: datetime) -> str:
    """Write a moment in full, in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def age_in_words(moment: datetime, now: datetime | None = None) -> str:
    """Write how long ago a moment was: ``now``, ``4 s ago``, ``2 min ago``.

    A moment of the near future, as clocks that differ a little produce, is now.
    """
    seconds = _seconds_since(moment, now)
    return "now" if seconds < 1 else f"{duration_in_words(seconds)} ago"


def age(moment: datetime | None, now: datetime | None = None) -> SafeString:
    """Mark how long ago a moment was, with the exact time in the title."""
    if moment is None:
        return mark_safe('<span class="ele-age">never</span>')
    return _time(moment, age_in_words(moment, now))


def lasting(since: datetime, now: datetime | None = None) -> SafeString:
    """Mark how long something has been so: ``for 2 min``, its begin in the title."""
    return _time(since, f"for {duration_in_words(_seconds_since(since, now))}")


def _usual_interval() -> float:
    """Give the seconds between two looks; where workers make none, agents report."""
    return conf.refresh().interval or AGENT_INTERVAL


def clock(moment: datetime) -> SafeString:
    """Mark a moment of today by its time alone: ``06:50:12 UTC``."""
    return _time(moment, moment.astimezone(UTC).strftime("%H:%M:%S UTC"))


def dated(
    fact: str,
    observed_at: datetime | None,
    now: datetime | None = None,
    *,
    every: float | None = None,
) -> SafeString:
    """Mark a fact with its age: ``3.2 MB behind, 4 s ago``.

    A stale fact, or one of unknown age, is faded and its age comes first. It is stale
    when it should have been read three times since.

    Args:
        fact: what was seen.
        observed_at: when.
        now: the time, for tests.
        every: seconds between two readings of it; those between two looks of a worker
            unless given.
    """
    if observed_at is None:
        return format_html('<span class="ele-stale">age unknown: {}</span>', fact)
    if _seconds_since(observed_at, now) > 3 * (every or _usual_interval()):
        return format_html(
            '<span class="ele-stale">{}: {}</span>', age(observed_at, now), fact
        )
    return format_html("<span>{}, {}</span>", fact, age(observed_at, now))


def lag(
    octets: int | None,
    observed_at: datetime | None,
    now: datetime | None = None,
    *,
    why: str = "",
    every: float | None = None,
) -> SafeString:
    """Mark how far a replica is behind, with the age of the older of both readings.

    Args:
        octets: bytes, None where that is not known.
        observed_at: when the older reading was made.
        now: the time, for tests.
        why: why it is not known, as a sentence; it is shown when pointed at.
        every: seconds between two readings, as for ``dated``.
    """
    if octets is None:
        word = "not comparable" if why.startswith("Not comparable") else "unknown"
        return state(Health.UNKNOWN, word, why)
    return dated(f"{size(max(0, octets))} behind", observed_at, now, every=every)


def _time(moment: datetime, words: str) -> SafeString:
    return format_html(
        '<time class="ele-age" datetime="{}" title="{}">{}</time>',
        moment.astimezone(UTC).isoformat(timespec="seconds"),
        exact(moment),
        words,
    )


def _seconds_since(moment: datetime, now: datetime | None) -> float:
    return ((now or metadata_now()) - moment).total_seconds()


def _title(title: str) -> SafeString:
    if not title:
        return mark_safe("")
    return format_html(' title="{}"', title)
