"""Asks whether a dependency is known to be unsafe, and says what could not be asked.

    python -m tools.audit

The exit status is 1 where one is. Without a way to the advisories nothing is known;
that is said, and fails nothing: a machine without Internet can run the linters too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-ldap.txt")
_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What is known of the dependencies.

    Attributes:
        unsafe: those with a known weakness, as sentences.
        unasked: those of which nothing could be learned.
        count: all of them.
    """

    unsafe: Sequence[str]
    unasked: Sequence[str]
    count: int


def read(told: str) -> Audit:
    """Read what ``pip-audit --format json`` writes.

    Raises:
        ValueError: it is something else.
    """
    dependencies = json.loads(told)["dependencies"]
    return Audit(
        unsafe=[
            f"{each['name']} {each['version']}: {weakness['id']}"
            + (
                f", mended in {', '.join(weakness['fix_versions'])}"
                if weakness["fix_versions"]
                else ", not mended yet"
            )
            for each in dependencies
            for weakness in each.get("vulns", ())
        ],
        unasked=[each["name"] for each in dependencies if "skip_reason" in each],
        count=len(dependencies),
    )


def ask() -> Audit | None:
    """Ask about our pinned dependencies; None where nobody answers."""
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--format", "json"]
    for file in FILES:
        command += ["--requirement", str(PROJECT / file)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
        return read(done.stdout)
    except (subprocess.TimeoutExpired, ValueError, KeyError):
        return None


def main() -> int:
    """Ask, say what was found, and give the exit status."""
    found = ask()
    if found is None:
        print("The dependencies could not be audited: no advisories were to be had.")
        return 0
    for sentence in found.unsafe:
        print(sentence)
    asked = found.count - len(found.unasked)
    print(
        f"{asked} of {found.count} dependencies were audited, "
        f"{len(found.unsafe)} weaknesses are known."
    )
    return 1 if found.unsafe else 0


if __name__ == "__main__":
    sys.exit(main())
