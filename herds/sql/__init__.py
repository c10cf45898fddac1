"""What of the metadata is written in SQL: triggers, views, functions; one a file.

Migrations load the files in the schema they run in; what a function or a view calls
is found there again whatever search path its caller has.
"""

from __future__ import annotations

from pathlib import Path

from django.db.migrations import RunSQL

FOLDER = Path(__file__).parent


class RunSQLFile(RunSQL):
    """Run a file of this folder, and ``undo`` to go back."""

    def __init__(self, name: str, undo: str) -> None:
        self.name = name
        self.undo = undo
        super().__init__((FOLDER / name).read_text(encoding="utf-8"), undo)

    def deconstruct(self) -> tuple[str, list[str], dict[str, str]]:
        """Tell how this operation is written in a migration."""
        return type(self).__qualname__, [self.name, self.undo], {}

    def describe(self) -> str:
        """Say what ``migrate --plan`` shows."""
        return f"Run herds/sql/{self.name}"
