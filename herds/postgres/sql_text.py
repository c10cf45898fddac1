"""Writes values into SQL and configuration files: the one place that quotes them."""

from __future__ import annotations

from collections.abc import Mapping


def literal(value: str) -> str:
    r"""Write a text as a constant of SQL.

    A backslash means itself only where ``standard_conforming_strings`` is on, so a
    text with one is written in the form that never depends on it
    (https://www.postgresql.org/docs/current/sql-syntax-lexical.html, 4.1.2.2).

    Raises:
        ValueError: a NUL character, which no text of PostgreSQL holds.
    """
    _refuse_nul(value)
    doubled = value.replace("'", "''")
    if "\\" in value:
        return " E'" + doubled.replace("\\", "\\\\") + "'"
    return f"'{doubled}'"


def identifier(name: str) -> str:
    """Write a name so that it is taken as it is (same page, 4.1.1).

    Raises:
        ValueError: it is empty or has a NUL character.
    """
    _refuse_nul(name)
    if not name:
        raise ValueError("An identifier is not empty.")
    return '"' + name.replace('"', '""') + '"'


def variables(values: Mapping[str, str]) -> str:
    r"""Write psql's ``\set`` for each value: the SQL after it says ``:'name'``.

    psql quotes a value for the server where it stands
    (https://www.postgresql.org/docs/current/app-psql.html, Variables).

    Raises:
        ValueError: a NUL character in a value.
    """
    return "".join(f"\\set {name} {_meta(value)}\n" for name, value in values.items())


def _meta(value: str) -> str:
    """Quote an argument of a psql command, which knows the escapes of C."""
    _refuse_nul(value)
    for plain, escaped in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r")):
        value = value.replace(plain, escaped)
    return f"'{value}'"


def setting(value: str) -> str:
    r"""Write the value of a setting for a configuration file.

    Quotes and backslashes are doubled, as ALTER SYSTEM does; a line break cannot be
    kept there (https://www.postgresql.org/docs/current/config-setting.html).

    Raises:
        ValueError: a NUL character or a line break.
    """
    _refuse_nul(value)
    if "\n" in value or "\r" in value:
        raise ValueError("A setting in a configuration file holds no line break.")
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def with_settings(text: str, settings: Mapping[str, str | None]) -> str:
    """Give a configuration file in which some settings are other ones.

    Every line that sets one of them goes, whatever its case, and the new values stand
    at the end, where they count.

    Args:
        text: the file, such as ``postgresql.auto.conf``.
        settings: the new values by name; None only removes.
    """
    gone = {name.lower() for name in settings}
    kept = [line for line in text.split("\n") if line and _name(line) not in gone]
    added = [
        f"{name} = {setting(value)}"
        for name, value in settings.items()
        if value is not None
    ]
    return "".join(f"{line}\n" for line in [*kept, *added])


def _name(line: str) -> str:
    """Give the name that a line sets: it ends at white space or an equals sign."""
    words = line.partition("#")[0].partition("=")[0].split()
    return words[0].lower() if words else ""


def _refuse_nul(value: str) -> None:
    if "\0" in value:
        raise ValueError("A NUL character cannot stand in SQL.")
