"""Writes small files with the owner and mode they need."""

import os
import pwd
from pathlib import Path

from lab.accounts import account


def write(path: Path, text: str, *, mode: int = 0o644, owner: str = "root") -> None:
    """Write ``text`` to ``path``, making the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Created with its final mode, so that a key is never readable for a moment.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with open(descriptor, "w", encoding="utf-8") as stream:
        os.fchmod(descriptor, mode)
        stream.write(text)
    give(path, account(owner))


def directory(path: Path, *, mode: int = 0o755, owner: str = "root") -> Path:
    """Make a directory (and those above it) and return its path."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    give(path, account(owner))
    return path


def give(path: Path, owner: pwd.struct_passwd) -> None:
    """Make ``owner`` and its primary group the owners of ``path``."""
    os.chown(path, owner.pw_uid, owner.pw_gid)
