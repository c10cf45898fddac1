"""What a name, path or port may be, each refusal with its reason."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError

# Read the same by Python and by PostgreSQL, where a constraint uses it.
CLUSTER_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"

NOT_PRINTABLE = (
    "Line breaks and control characters cannot stand in a name, nor can invisible ones."
)
NOT_A_CLUSTER_NAME = (
    "A cluster name is made of letters, digits, '_', '.' and '-', "
    "and does not begin with '.' or '-'."
)
NOT_A_HOST_NAME = (
    "A host name is made of labels of letters, digits and '-' "
    "(1 to 63 characters each) with dots between them."
)
NOT_A_PATH = (
    "A data root is an absolute path: it begins with '/' and has no line breaks, "
    "control characters, double quotation marks, '$', backticks or backslashes."
)

# pg_ctl hands the path to a shell, between double quotes (start_postmaster in
# src/bin/pg_ctl/pg_ctl.c): there these would have a command run in its place.
_READ_BY_THE_SHELL = frozenset('"$`\\')

_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_FILE_NAME_LIMIT = 255  # bytes, of nearly every file system


def printable(value: str) -> None:
    """Refuse control characters and text that is only white space.

    Raises:
        ValidationError: with the reason.
    """
    if not value.strip():
        raise ValidationError("A name needs at least one visible character.")
    if not value.isprintable():
        raise ValidationError(NOT_PRINTABLE)


def cluster_name(value: str) -> None:
    """Refuse what ``pg_createcluster`` and file names could not carry.

    Raises:
        ValidationError: with the reason.
    """
    # Python's $ also matches before a last line break, PostgreSQL's does not.
    if not re.match(CLUSTER_NAME, value) or value.endswith("\n"):
        raise ValidationError(NOT_A_CLUSTER_NAME)


def dns_name(value: str) -> None:
    """Refuse what is no host name (RFC 1123 section 2.1, and '_' as many sites use).

    Raises:
        ValidationError: with the reason.
    """
    name = value.removesuffix(".")
    if len(name) > 253:
        raise ValidationError("A DNS name has at most 253 characters.")
    if not all(_DNS_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValidationError(NOT_A_HOST_NAME)


def absolute_path(value: str) -> None:
    """Refuse paths that are relative, end at the root, climb, or carry commands.

    Spaces, apostrophes and most other printable characters are legal in a path.

    Raises:
        ValidationError: with the reason.
    """
    is_readable = value.isprintable() and not _READ_BY_THE_SHELL & set(value)
    if not value.startswith("/") or not is_readable:
        raise ValidationError(NOT_A_PATH)
    parts = [part for part in value.split("/") if part]
    if not parts:
        raise ValidationError("The root directory cannot be a data root.")
    if any(part in {".", ".."} for part in parts):
        raise ValidationError("A data root is written without '.' and '..'.")
    if any(len(part.encode()) > _FILE_NAME_LIMIT for part in parts):
        raise ValidationError(
            f"A directory's name has at most {_FILE_NAME_LIMIT} bytes."
        )


def port(value: int) -> None:
    """Refuse what is no TCP port.

    Raises:
        ValidationError: with the reason.
    """
    if not 1 <= value <= 65535:
        raise ValidationError("A port is a number from 1 to 65535.")
