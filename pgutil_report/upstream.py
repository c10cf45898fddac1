"""Tells the metadata database, by its three functions and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions

from pgutil_report import database
from pgutil_report.config import Upstream

TYPES = {
    "sherd": "text",
    "shost": "text",
    "nport": "integer",
    "sver": "text",
    "bonline": "boolean",
    "sdatadir": "text",
    "smasterhost": "text",
    "nxlog": "bigint",
    "ssystemid": "text",
    "ntimeline": "bigint",
    "bstreaming": "boolean",
    "nage": "double precision",
}
"""The arguments of sp_instance_checkin. SQL writes names in small letters."""

ORIGINAL = tuple(TYPES)[:8]
"""Those that every version of it has."""

_KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}


class Away(Exception):
    """The metadata database cannot be reached, or went away."""


class Refused(Exception):
    """The metadata database did not take one report."""


def check_in_arguments(
    arguments: Mapping[str, Any], original: bool = False
) -> dict[str, Any]:
    """Return the arguments to call the function with.

    The original's knows less, and takes null for the upstream of a primary.
    """
    if not original:
        return dict(arguments)
    known = {key: arguments[key] for key in ORIGINAL if key in arguments}
    if known.get("smasterhost") == "":
        known["smasterhost"] = None
    return known


class Metadata:
    """A connection to the metadata database.

    Raises:
        Away: when there is none, here and from every method.
    """

    def __init__(self, upstream: Upstream, seconds: float) -> None:
        self._upstream = upstream
        self._seconds = seconds
        self._is_original = False
        parameters: dict[str, Any] = {**_KEEPALIVES, **upstream.ssl}
        if psycopg2.extensions.libpq_version() >= 120000:
            parameters["tcp_user_timeout"] = int(seconds * 1000)
        try:
            self._connection = database.connect(
                seconds,
                host=upstream.host,
                port=upstream.port,
                user=upstream.user,
                dbname=upstream.name,
                **parameters,
            )
        except (psycopg2.Error, database.TooSlow, ValueError) as error:
            raise Away(database.words(error)) from None
        self._schema = psycopg2.extensions.quote_ident(
            upstream.schema, self._connection
        )

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def discover(self, host: str) -> None:
        """Make the host known.

        Raises:
            Refused: when it is not taken.
        """
        self._call("sp_discover_server", {"shost": "text"}, {"shost": host})

    def check_in(self, arguments: Mapping[str, Any]) -> int | None:
        """Report an instance; return its id, None where it has no place yet.

        Raises:
            Refused: when it is not taken.
        """
        if not self._is_original:
            try:
                return self._check_in(arguments)
            except psycopg2.errors.UndefinedFunction:
                self._is_original = True
        if arguments.get("bonline") is None:
            # The original's column takes no null; what it knows stays.
            raise Refused("it cannot be told that something is unknown")
        try:
            return self._check_in(check_in_arguments(arguments, original=True))
        except psycopg2.errors.UndefinedFunction as error:
            raise Refused(database.words(error)) from None

    def _check_in(self, arguments: Mapping[str, Any]) -> int | None:
        found: int | None = self._call("sp_instance_checkin", TYPES, arguments)
        return found

    def _call(
        self, function: str, types: Mapping[str, str], arguments: Mapping[str, Any]
    ) -> Any:
        named = ", ".join(f"{key} => %s::{types[key]}" for key in arguments)
        # Names come from this module, and the schema is quoted.
        sql = f"SELECT {self._schema}.{function}({named})"
        database.allow(self._seconds)
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, list(arguments.values()))
                return cursor.fetchone()[0]
        except psycopg2.errors.UndefinedFunction:
            if function == "sp_instance_checkin":
                raise
            raise Refused(f"it has no function {function}") from None
        except database.TooSlow as error:
            raise Away(database.words(error)) from None
        # Text that is no UTF-8, or has a null byte in it, is refused by psycopg2.
        except (psycopg2.Error, ValueError) as error:
            if self._connection.closed:
                raise Away(database.words(error)) from None
            raise Refused(database.words(error)) from None
