"""``manage.py import_fleet``: enter an existing fleet into the inventory."""

from __future__ import annotations

import getpass
import json
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from herds.domain.fleet import FleetRow, Refused
from herds.domain.fleet_clusters import as_rows, read_clusters
from herds.domain.fleet_text import read_csv, read_json, write_csv
from herds.errors import ElephaasError
from herds.management.terminal import person
from herds.operations import audit
from herds.services.fleet import Imported, import_fleet
from herds.services.fleet_legacy import read_legacy

LARGEST_FILE = 50_000_000  # bytes
MOST_FILES = 20_000
MOST_ROWS = 200_000

FORMATS = ("csv", "json", "pg_lsclusters")

Row = FleetRow | Refused


class Command(BaseCommand):
    """Read a fleet from files or an older database; make what is missing."""

    help = (
        "Enter environments, herds, servers and instances that exist already. What is "
        "in the inventory stays as it is; a row that cannot be taken is refused with "
        "the reason and stops no other. Nothing is done on any host. Exit status: 0 "
        "all was taken, 3 some rows were refused, 1 nothing was taken."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "files",
            nargs="*",
            type=Path,
            metavar="FILE",
            help="a CSV or JSON file; with --format pg_lsclusters a file with the "
            "output of many hosts, or a directory with a file named like each host",
        )
        parser.add_argument(
            "--format",
            choices=FORMATS,
            help="how files are written (default: by their names, .csv or .json)",
        )
        parser.add_argument(
            "--environment",
            default="",
            metavar="NAME",
            help="the environment of rows that name none",
        )
        parser.add_argument(
            "--from-database",
            metavar="ADDRESS",
            help="read an ElepHaaS 1.2 from its database, such as service=old; "
            "passwords come from ~/.pgpass",
        )
        parser.add_argument(
            "--known-hosts",
            type=Path,
            metavar="FILE",
            help="accept the hosts' keys in this file, in the form of known_hosts, "
            "as ones you have compared",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="show what would be made"
        )
        parser.add_argument(
            "--all-or-nothing",
            action="store_true",
            help="make nothing if a row is refused",
        )
        parser.add_argument(
            "--as-csv",
            action="store_true",
            help="only print what was read as CSV, to be edited and imported",
        )
        parser.add_argument("--json", action="store_true", help="report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = _bounded(_rows(options))
        if options["as_csv"]:
            self._print_rows(rows)
            return
        keys = options["known_hosts"]
        with transaction.atomic():
            done = import_fleet(
                rows,
                by=f"{getpass.getuser()} (import)",
                host_keys=read_known_hosts(_text(keys)) if keys else {},
                is_rehearsal=options["dry_run"],
                all_or_nothing=options["all_or_nothing"],
            )
            if done.is_kept:
                audit.record_import(person(), done.made)
        if options["json"]:
            self.stdout.write(_as_json(done))
        else:
            self._print(done, is_rehearsal=options["dry_run"])
        taken = done.made or done.known
        if done.refused:
            nothing = not taken or not (done.is_kept or options["dry_run"])
            raise SystemExit(1 if nothing else 3)

    def _print_rows(self, rows: Iterable[Row]) -> None:
        found = list(rows)
        taken = [each for each in found if isinstance(each, FleetRow)]
        self.stdout.write(write_csv(taken), ending="")
        for each in found:
            if isinstance(each, Refused):
                self.stderr.write(f"✖ {each.where}: {each.why}")

    def _print(self, done: Imported, *, is_rehearsal: bool) -> None:
        for kind, name in done.made:
            self.stdout.write(f"✔ {kind} {name}")
        for each in done.refused:
            self.stdout.write(f"✖ {each.where}: {each.why}")
        self.stdout.write(f"\n{_summary(done, is_rehearsal=is_rehearsal)}")


def read_known_hosts(text: str) -> dict[str, str]:
    """Read host keys by host name; lines with hashed names say nothing here.

    Source: sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. Where a host has several keys, the
    first is taken.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or line.startswith(("#", "@", "|")):
            continue
        for name in words[0].split(","):
            host = name.removeprefix("[").partition("]")[0]
            found.setdefault(host.lower(), f"{words[1]} {words[2]}")
    return found


def _rows(options: dict[str, Any]) -> Iterator[Row]:
    """Read what was named, each row completed by the given environment."""
    files: list[Path] = options["files"]
    address: str | None = options["from_database"]
    if bool(files) == bool(address):
        raise CommandError("Name files, or a database with --from-database.")
    environment = options["environment"]
    try:
        if address:
            found: Iterable[Row] = read_legacy(address)
        elif options["format"] == "pg_lsclusters":
            read: Callable[..., Iterator[Row]] = (
                as_rows if options["as_csv"] else read_clusters
            )
            found = read(
                [each for file in files for each in _outputs(file)], environment
            )
        else:
            found = [row for file in files for row in _tables(file, options["format"])]
    except (ElephaasError, ValueError) as error:
        raise CommandError(str(error)) from error
    for row in found:
        yield _placed(row, environment)


def _placed(row: Row, environment: str) -> Row:
    if isinstance(row, Refused) or row.environment or not environment:
        return row
    return FleetRow(**{**vars(row), "environment": environment})


def _bounded(rows: Iterable[Row]) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number >= MOST_ROWS:
            raise CommandError(
                f"There are more than {MOST_ROWS:,} rows; nothing was imported. "
                "Import them in parts."
            )
        yield row


def _tables(file: Path, form: str | None) -> Iterator[Row]:
    form = form or file.suffix.lstrip(".").lower()
    if form == "csv":
        return read_csv(_text(file), file.name)
    if form == "json":
        return read_json(_text(file), file.name)
    raise CommandError(f"How {file} is written cannot be told; say it with --format.")


def _outputs(file: Path) -> Iterator[tuple[str, str]]:
    """Give outputs with the host they came from; none where the text names hosts."""
    if not file.is_dir():
        yield "", _text(file)
        return
    files = sorted(each for each in file.iterdir() if each.is_file())
    if len(files) > MOST_FILES:
        raise CommandError(f"{file} holds more than {MOST_FILES:,} files.")
    for each in files:
        host = each.name.removesuffix(".txt").removesuffix(".out")
        yield host, _text(each)


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise CommandError(
                f"{file} is larger than {LARGEST_FILE / 1e6:,.0f} MB. Import it in "
                "parts."
            )
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not written in UTF-8.") from error


def _counted(done: Imported) -> str:
    kinds = Counter(kind for kind, _ in done.made)
    return ", ".join(
        f"{count:,} {kind}{'' if count == 1 else 's'}" for kind, count in kinds.items()
    )


def _summary(done: Imported, *, is_rehearsal: bool) -> str:
    """Say in a few sentences what is true now."""
    made = _counted(done) or "nothing"
    if is_rehearsal:
        first = f"Would be made: {made}. Nothing was changed."
    elif not done.is_kept:
        first = f"Nothing was made, because rows were refused; it would be {made}."
    else:
        first = f"Made: {made}."
    refused = len(done.refused)
    rows = "1 row" if refused == 1 else f"{refused:,} rows"
    second = (
        f" {rows} refused. Correct them and import again; what is there stays."
        if refused
        else ""
    )
    after = (
        " Look at the hosts next: manage.py operate refresh --all"
        if done.made and done.is_kept
        else ""
    )
    return first + second + after


def _as_json(done: Imported) -> str:
    return json.dumps(
        {
            "made": [{"kind": kind, "name": name} for kind, name in done.made],
            "refused": [vars(each) for each in done.refused],
            "is_kept": done.is_kept,
        },
        ensure_ascii=False,
        indent=2,
    )
