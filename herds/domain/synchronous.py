"""Reads ``synchronous_standby_names``: who has to confirm before a commit returns."""

from __future__ import annotations

import re
from collections.abc import Collection

_QUORUM = re.compile(
    r"\s*(?:(?:(?P<how>ANY|FIRST)\s+)?(?P<number>\d+)\s*\((?P<list>.*)\))\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^\s,"]+))\s*(?:,|\Z)')


def satisfiable(setting: str, standbys: Collection[str]) -> bool:
    """Tell whether commits return once these standbys stream.

    Args:
        setting: the value, in any of its forms
            (https://www.postgresql.org/docs/current/runtime-config-replication.html).
        standbys: the application names of those that will.
    """
    number, names = read_synchronous(setting)
    if not number:
        return True
    present = {name.lower() for name in standbys}
    if "*" in names:
        return len(present) >= number
    return sum(name.lower() in present for name in dict.fromkeys(names)) >= number


def read_synchronous(setting: str) -> tuple[int, list[str]]:
    """Give how many of which standbys have to confirm; 0 where nobody has to."""
    if not setting.strip():
        return 0, []
    quorum = _QUORUM.match(setting)
    number, text = (int(quorum["number"]), quorum["list"]) if quorum else (1, setting)
    names, position = [], 0
    while found := _NAME.match(text, position):
        if found.end() == position:
            break
        names.append((found[1] or "").replace('""', '"') or found[2] or "")
        position = found.end()
    return number, names
