"""Deletes what is too old: output of commands, and entries of the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection, transaction
from django.utils import timezone

from herds import conf
from herds.models import AuditEntry, OperationOutput

_AT_ONCE = 5000  # rows of one transaction: nobody waits long for a lock


class Command(BaseCommand):
    """``manage.py prune``: what is kept, and for how long, is told by ``RETENTION``."""

    help = (
        "Delete output of commands and audit entries that are older than RETENTION in "
        "the settings says. Operations, targets and steps stay."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="count, and delete nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        kept = conf.retention()
        now = timezone.now()
        output = OperationOutput.objects.filter(
            step__finished_at__lt=now - timedelta(days=kept.output_days)
        )
        entries = AuditEntry.objects.filter(
            at__lt=now - timedelta(days=kept.audit_days)
        )
        for words, rows, days in (
            ("pieces of output", output, kept.output_days),
            ("audit entries", entries, kept.audit_days),
        ):
            number = rows.count()
            if not options["dry_run"]:
                _delete(rows)
            verb = "would be" if options["dry_run"] else "were"
            self.stdout.write(
                f"{number:,} {words} older than {days} days {verb} deleted."
            )


def _delete(rows: Any) -> None:
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            # The trigger on the audit log lets nobody else delete.
            cursor.execute("SET LOCAL elephaas.retention = 'on'")
            chosen = list(rows.order_by("pk").values_list("pk", flat=True)[:_AT_ONCE])
            rows.model.objects.filter(pk__in=chosen).delete()
        if len(chosen) < _AT_ONCE:
            return
