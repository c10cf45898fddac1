"""Reads rows of a fleet from CSV and JSON, each wrong row refused by itself."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping

from .fleet import COLUMNS, FleetRow, Refused

LONGEST = 4000
"""Characters of a value; every column of the inventory holds less."""


def read_csv(text: str, name: str) -> Iterator[FleetRow | Refused]:
    """Read a table whose first line names its columns.

    Args:
        text: the file's content.
        name: of the file, for messages.

    Raises:
        ValueError: there is no such first line, or it names unknown columns.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        names = reader.fieldnames
    except csv.Error as error:
        raise ValueError(f"{name} is no CSV: {error}.") from error
    if not names:
        raise ValueError(f"{name} is empty; its first line names the columns.")
    _refuse_unknown(names, name)
    if len(set(names)) < len(names):
        raise ValueError(f"{name} names a column twice: {', '.join(names)}.")
    while True:
        try:
            found = next(reader, None)
        except csv.Error as error:
            # What follows cannot be told from what is broken.
            yield Refused(
                where=f"{name} line {reader.line_num}",
                why=f"It is no CSV from here on: {error}.",
            )
            return
        if found is None:
            return
        where = f"{name} line {reader.line_num}"
        if None in found or None in found.values():
            yield Refused(
                where=where,
                why=f"It has not as many values as the first line has names "
                f"({len(names)}).",
            )
        else:
            yield read_row(found, where)


def read_json(text: str, name: str) -> Iterator[FleetRow | Refused]:
    """Read a list of objects with the columns as keys.

    Raises:
        ValueError: it is no such list.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no JSON: {error}.") from error
    if not isinstance(found, list):
        raise ValueError(f"{name} is no list of objects.")
    for number, each in enumerate(found, 1):
        where = f"{name} entry {number}"
        if isinstance(each, dict):
            try:
                _refuse_unknown(each, where)
            except ValueError as error:
                yield Refused(where=where, why=str(error))
            else:
                yield read_row(each, where)
        else:
            yield Refused(where=where, why="It is no object with names and values.")


def read_row(found: Mapping[str, object], where: str) -> FleetRow | Refused:
    """Make a row of values by column."""
    values: dict[str, str] = {}
    for column, value in found.items():
        text = "" if value is None else str(value)
        if not isinstance(value, (str, int, type(None))) or isinstance(value, bool):
            return Refused(where=where, why=f"{column} is no text and no number.")
        if len(text) > LONGEST:
            return Refused(
                where=where, why=f"{column} has more than {LONGEST} characters."
            )
        values[column] = text.strip()
    port = values.pop("port", "")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        return Refused(where=where, why=f"{port[:40]!r} is no port.")
    row = FleetRow(where=where, port=int(port) if port else None, **values)
    if not (row.host or row.herd):
        return Refused(where=where, why="It names neither a herd nor a host.")
    return row


def write_csv(rows: Iterable[FleetRow]) -> str:
    """Write rows as ``read_csv`` reads them, for a person to edit."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = (getattr(row, column) for column in COLUMNS)
        writer.writerow(["" if value is None else value for value in values])
    return out.getvalue()


def _refuse_unknown(names: Iterable[str], where: str) -> None:
    unknown = [str(name)[:60] for name in names if name not in COLUMNS]
    if unknown:
        raise ValueError(
            f"{where} has columns that mean nothing here: {', '.join(unknown)}. "
            f"Known are {', '.join(COLUMNS)}."
        )
