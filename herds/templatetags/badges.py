"""The marks of ``herds.admin.badges`` as template filters: ``{% load badges %}``."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.safestring import SafeString

from herds.admin import badges

register = template.Library()


@register.filter(name="environment_badge")
def environment_badge(name: str | None) -> SafeString:
    """Mark an environment's name with its colour band."""
    return badges.environment(name)


@register.filter(name="state_badge")
def state_badge(word: str, health: str) -> SafeString:
    """Mark a state: ``{{ word|state_badge:"fine" }}``."""
    return badges.state(health, word)


@register.filter(name="beside_environment")
def beside_environment(text: str, environment_name: str | None) -> SafeString:
    """Mark a name with its environment beside it."""
    return badges.beside_environment(text, environment_name)


@register.filter(name="age")
def age(moment: datetime | None) -> SafeString:
    """Mark how long ago a moment was."""
    return badges.age(moment)


@register.filter(name="lasting")
def lasting(since: datetime) -> SafeString:
    """Mark how long something has been so."""
    return badges.lasting(since)


@register.filter(name="clock")
def clock(moment: datetime) -> SafeString:
    """Mark a moment of today by its time alone."""
    return badges.clock(moment)


@register.filter(name="mono")
def mono(text: object) -> SafeString:
    """Mark a host name, path, LSN or command."""
    return badges.mono(text)


@register.filter(name="breakable")
def breakable(text: str) -> SafeString:
    """Mark a long path or name that may break at its dots and slashes."""
    return badges.breakable(text)


@register.filter(name="exact")
def exact(moment: datetime) -> str:
    """Write a moment in full."""
    return badges.exact(moment)


@register.filter(name="duration_in_words")
def duration_in_words(seconds: float) -> str:
    """Write a length of time in its largest telling unit."""
    return badges.duration_in_words(seconds)


@register.filter(name="bytesize")
def bytesize(octets: int) -> str:
    """Write a number of bytes for people."""
    return badges.size(octets)
