"""``manage.py doctor``: examine an installation and say how to mend it."""

from __future__ import annotations

import json
import textwrap
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand
from django.db import DatabaseError

from herds.errors import ElephaasError
from herds.management.doctor import database, hosts, program
from herds.management.doctor.finding import Finding, Health, broken, unknown

SAMPLE = 5
LARGEST_SAMPLE = 10_000

EXIT_STATUS = {Health.BROKEN: 1, Health.ATTENTION: 3, Health.UNKNOWN: 3}
"""Exit status by the worst finding; 0 where all is fine."""

_WORST_FIRST = (Health.BROKEN, Health.UNKNOWN, Health.ATTENTION)

_SIGNS = {
    Health.FINE: "✔",
    Health.ATTENTION: "▲",
    Health.BROKEN: "✖",
    Health.UNKNOWN: "?",
}

Examination = Callable[[], Iterator[Finding]]


class Command(BaseCommand):
    """Examine everything, also where the settings are wrong; change nothing."""

    help = (
        "Examine this installation: program, settings, metadata, workers, key, hosts "
        "and DNS. Nothing is changed. Exit status: 0 all is fine, 3 something needs "
        "attention, 1 something is broken."
    )
    # The doctor reports what the checks find; they must not keep it from working.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--hosts",
            type=int,
            default=SAMPLE,
            metavar="COUNT",
            help=f"servers and virtual hosts to try, at most (default: {SAMPLE})",
        )
        parser.add_argument(
            "--json", action="store_true", help="print the findings as JSON"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        count = min(max(options["hosts"], 0), LARGEST_SAMPLE)
        findings = list(examine(count))
        if options["json"]:
            found = [each.as_dict() for each in findings]
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
        else:
            self._print(findings)
        if status := status_of(findings):
            raise SystemExit(status)

    def _print(self, findings: list[Finding]) -> None:
        width = max(len(each.part) for each in findings)
        indent = " " * (width + 4)
        for each in findings:
            head = f"{_SIGNS[each.health]} {each.part:<{width}}  "
            self.stdout.write(_wrapped(each.observed, head, indent))
            if each.mend:
                self.stdout.write(_wrapped(each.mend, f"{indent}→ ", f"{indent}  "))
        self.stdout.write(f"\n{summary(findings)}")


def examine(count: int) -> Iterator[Finding]:
    """Examine everything, one part after the other.

    Args:
        count: hosts and virtual hosts to try, at most.
    """
    for each in (program.python, program.libraries):
        yield from _safely(each)
    yield from _safely(program.local_settings)
    yield from _safely(program.static_files)
    yield from _safely(program.disk)
    yield from _safely(hosts.ssh_key)
    reached = database.is_reached()
    yield reached
    if reached.health is not Health.FINE:
        yield unknown(
            "workers, hosts, dns",
            "They stand in the metadata, so they were not examined.",
            "Mend the metadata first, then run the doctor again.",
        )
        return
    in_order = list(_safely(database.schema))
    in_order += _safely(database.migrations)
    yield from in_order
    yield from _safely(database.clock)
    if any(each.health is Health.BROKEN for each in in_order):
        return
    for examination in (database.privileges, database.objects, database.worker):
        yield from _safely(examination)
    if count:
        yield from _safely(lambda: hosts.reached(count), "hosts")
        yield from _safely(lambda: hosts.dns(count), "dns")


def status_of(findings: list[Finding]) -> int:
    """Give the exit status: that of the worst finding."""
    there = {each.health for each in findings}
    return next((EXIT_STATUS[each] for each in _WORST_FIRST if each in there), 0)


def summary(findings: list[Finding]) -> str:
    """Say in a sentence how the installation is."""
    counted = Counter(each.health for each in findings)
    if counted[Health.FINE] == len(findings):
        return "All is fine."
    parts = [f"{counted[each]} {each}" for each in Health if counted[each]]
    return f"{', '.join(parts)}. Each line says how to mend it."


def _safely(examination: Examination, part: str = "") -> Iterator[Finding]:
    """Examine a part; what keeps it from being examined is a finding, too."""
    name = part or examination.__name__.replace("_", " ")
    try:
        yield from examination()
    except (DatabaseError, ElephaasError, OSError, ValueError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        yield broken(name, f"It could not be examined: {first}", "See the line above.")
    except ImproperlyConfigured as error:
        yield broken(name, str(error), "Correct the local settings.")


def _wrapped(text: str, first: str, other: str) -> str:
    # Commands to copy and paths stay whole.
    return textwrap.fill(
        text,
        width=100,
        initial_indent=first,
        subsequent_indent=other,
        break_long_words=False,
        break_on_hyphens=False,
    )
