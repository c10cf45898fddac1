"""Operations in templates: ``{% load operations %}``."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from herds.admin import badges, operation_words
from herds.selectors.operations import RunningOperation, workers_alive
from herds.selectors.operations import running_operations as select_running

register = template.Library()


@register.simple_tag
def no_worker_lives() -> bool:
    """Tell whether requests would wait because nobody executes them."""
    return not workers_alive().exists()


@register.simple_tag
def running_operations() -> list[RunningOperation]:
    """Give the operations that have not ended, the oldest first."""
    return select_running()


@register.filter
def operation_mark(state: str) -> SafeString:
    """Mark an operation's state."""
    return operation_words.operation_mark(state)


@register.filter
def target_mark(state: str) -> SafeString:
    """Mark a target's state."""
    return operation_words.target_mark(state)


@register.filter
def step_mark(state: str) -> SafeString:
    """Mark a step's state."""
    return operation_words.step_mark(state)


@register.filter
def counted(number: int, noun: str) -> str:
    """Write a number with its noun: ``{{ 5|counted:"instance" }}``."""
    return operation_words.counted(number, noun)


@register.filter
def moment(value: datetime) -> SafeString:
    """Write a moment in full, with its age: for records, where both matter."""
    return format_html("{}, {}", badges.exact(value), badges.age(value))
