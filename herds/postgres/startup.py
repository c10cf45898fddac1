"""Finds PostgreSQL's own words for a failure in what a command printed."""

from __future__ import annotations

import re

# A line of the server's log behind whatever log_line_prefix puts before it.
_LOGGED = re.compile(r"\b(LOG|ERROR|FATAL|PANIC): +(?P<message>.+)")
_FATAL = frozenset({"FATAL", "PANIC"})

# What leads to the fatal line stands before it as LOG (guc-file.l, pqcomm.c).
_CAUSE = re.compile(r"\b(invalid|unrecognized|syntax error|cannot|could not)\b")

# pg_ctl's and pg_ctlcluster's words tell that it failed, and not why.
_SAYS_NOTHING = re.compile(
    r"Examine the log output\.|pg_ctl: could not start server|.* stopped waiting"
)


def telling_words(printed: str) -> str:
    """Give the words that tell why, on one line.

    These are the server's last fatal line with the cause logged right before it; where
    there is none, the last line that says anything.

    Args:
        printed: what a command printed, perhaps with the end of the server's log.

    Returns:
        The words; empty where nothing was printed.
    """
    logged = [found for line in printed.splitlines() if (found := _LOGGED.search(line))]
    fatal = [place for place, found in enumerate(logged) if found[1] in _FATAL]
    if fatal:
        last = fatal[-1]
        before = logged[last - 1]["message"].strip() if last else ""
        cause = f"{before}; " if _CAUSE.search(before) else ""
        return cause + logged[last]["message"].strip()
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    told = [line for line in lines if not _SAYS_NOTHING.fullmatch(line)]
    return (told or lines or [""])[-1]
