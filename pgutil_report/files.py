"""Reads small files of the host, which may be anything, and never more than asked."""

from __future__ import annotations

import os
import stat

SMALL = 64 * 1024
CONFIGURATION = 1024 * 1024


class Unfit(ValueError):
    """A file is not what it should be; says which one and why."""


def read(path: str, limit: int = SMALL) -> str:
    """Return the text of a regular file of at most ``limit`` bytes.

    What is no UTF-8 is kept as Python keeps such file names.

    Raises:
        OSError: when it cannot be read.
        Unfit: when it is no regular file, or too large.
    """
    text, _ = read_with_owner(path, limit)
    return text


def read_with_owner(
    path: str, limit: int = SMALL, follow: bool = True
) -> tuple[str, int]:
    """Return a regular file's text, and the number of the user who owns it.

    Without ``follow`` a symbolic link is an OSError. Raises as ``read`` does.
    """
    # A pipe in place of the file must not make us wait for its writer.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise Unfit(f"{path} is no regular file.")
    with open(descriptor, "rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise Unfit(f"{path} is larger than {limit} bytes.")
    return content.decode("utf-8", "surrogateescape"), found.st_uid
