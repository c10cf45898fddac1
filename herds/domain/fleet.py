"""A row of an existing fleet as a file or an older installation tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FleetRow:
    """One instance, or only a herd or a server, and where it was read.

    Texts that were not given are empty. Without a host it is a herd alone, without a
    herd a server alone.

    Attributes:
        where: where it was read, such as ``fleet.csv line 3``.
        port: None where it was not given.
        upstream: the host name of the member that this one follows.
        host_key: the host's public key, its type and base64.
    """

    where: str
    environment: str = ""
    herd: str = ""
    base_name: str = ""
    port: int | None = None
    pgdata: str = ""
    vhost: str = ""
    description: str = ""
    host: str = ""
    local_pgdata: str = ""
    version: str = ""
    upstream: str = ""
    host_key: str = ""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A row that was not taken, with the reason as a sentence."""

    where: str
    why: str


COLUMNS = (
    *("environment", "herd", "base_name", "port", "pgdata", "vhost", "description"),
    *("host", "local_pgdata", "version", "upstream", "host_key"),
)
"""The columns of a CSV file and the keys of a JSON file."""
