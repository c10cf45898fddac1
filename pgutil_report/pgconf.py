"""Reads PostgreSQL's configuration files and connection strings as the server does."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qs, unquote, urlsplit

from pgutil_report import files

_DEEPEST = 10
"""Files that include one another; the server's own limit."""

_MOST_FILES = 200

# A name, an equals sign or only space, and a value that may be quoted.
_SETTING = re.compile(
    r"\s*([A-Za-z_][\w.]*)(?:\s*=\s*|\s+)('(?:[^'\\]|''|\\.)*'|[^\s#']+)\s*(?:#.*)?$"
)
_PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def settings_of(text: str) -> list[tuple[str, str]]:
    """Return names, in small letters, and values in the order of a file's lines.

    Lines that say nothing are left out.
    """
    found = (_SETTING.match(line) for line in text.splitlines())
    return [(line[1].lower(), _plain(line[2])) for line in found if line]


def _plain(value: str) -> str:
    if not value.startswith("'"):
        return value
    return re.sub(r"\\([0-7]{1,3}|.)|''", _unescaped, value[1:-1], flags=re.S)


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    if code is None:
        return "'"
    if code[0] in "01234567":
        return chr(int(code, 8) & 0xFF)
    return _ESCAPES.get(code, code)


def read(configuration: str, data_directory: str) -> dict[str, str]:
    """Return the settings of a cluster that is not asked itself.

    ``configuration`` is the directory of postgresql.conf. What ALTER SYSTEM wrote into
    the data directory comes last, and before PostgreSQL 12 recovery.conf. Files that
    cannot be read are passed over.
    """
    found: dict[str, str] = {}
    left = [_MOST_FILES]
    _read_into(found, os.path.join(configuration, "postgresql.conf"), _DEEPEST, left)
    for name in ("postgresql.auto.conf", "recovery.conf"):
        _read_into(found, os.path.join(data_directory, name), _DEEPEST, left)
    return found


def _read_into(found: dict[str, str], path: str, depth: int, left: list[int]) -> None:
    if depth == 0 or left[0] == 0:
        return
    left[0] -= 1
    try:
        settings = settings_of(files.read(path, files.CONFIGURATION))
    except (OSError, ValueError):
        return
    here = os.path.dirname(path)
    for name, value in settings:
        if name in ("include", "include_if_exists"):
            _read_into(found, os.path.join(here, value), depth - 1, left)
        elif name == "include_dir":
            for each in _listed(os.path.join(here, value)):
                _read_into(found, each, depth - 1, left)
        else:
            found[name] = value


def _listed(directory: str) -> list[str]:
    try:
        names = sorted(os.listdir(directory))
    except (OSError, ValueError):
        return []
    return [
        os.path.join(directory, name)
        for name in names
        if name.endswith(".conf") and not name.startswith(".")
    ]


def host_in(conninfo: str) -> str | None:
    """Return the first host of a connection string, None where it names none.

    It has the form ``host=… port=…`` or that of a URI; a directory is that of a socket
    (libpq, "Connection Strings").
    """
    conninfo = conninfo.strip()
    if conninfo.startswith(("postgres://", "postgresql://")):
        return _first(*_hosts_in_uri(conninfo))
    pairs = {
        found[1]: re.sub(r"\\(.)", r"\1", found[2].strip("'"))
        for found in _PAIR.finditer(conninfo)
    }
    return _first(pairs.get("host", ""), pairs.get("hostaddr", ""))


def _hosts_in_uri(uri: str) -> tuple[str, str]:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "", ""
    query = parse_qs(parts.query)
    host = parts.netloc.rpartition("@")[2].split(",")[0]
    host = host[1:].partition("]")[0] if host[:1] == "[" else host.partition(":")[0]
    return unquote(host) or query.get("host", [""])[0], query.get("hostaddr", [""])[0]


def _first(*lists: str) -> str | None:
    for each in lists:
        first = each.split(",")[0].strip()
        if first:
            return first
    return None
