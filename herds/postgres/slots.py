"""Makes, reads and drops the physical slots of standbys on their upstream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from herds.errors import PreconditionFailed

from .cluster import Cluster

# One round trip: a slot whose WAL is gone is of no use to anybody and is made anew.
_CREATE = """
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
 WHERE slot_name = ANY (string_to_array(:'names', ' ')) AND slot_type = 'physical'
   AND NOT active AND wal_status = 'lost' \\g /dev/null
SELECT 'logical ' || slot_name FROM pg_replication_slots
 WHERE slot_name = ANY (string_to_array(:'names', ' ')) AND slot_type <> 'physical';
SELECT CASE
    WHEN (SELECT count(*) FROM pg_replication_slots)
       + (SELECT count(*) FROM unnest(string_to_array(:'names', ' ')) AS new
           WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = new))
       > current_setting('max_replication_slots')::int
    THEN 'full ' || current_setting('max_replication_slots')
    ELSE 'made ' || (pg_create_physical_replication_slot(name, true)).slot_name
    END
  FROM unnest(string_to_array(:'names', ' ')) AS name
 WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = name)
   AND NOT EXISTS (SELECT FROM pg_replication_slots
     WHERE slot_name = ANY (string_to_array(:'names', ' '))
       AND slot_type <> 'physical');
"""

_READ = """
SELECT slot_name, active FROM pg_replication_slots
 WHERE slot_name = ANY (string_to_array(:'names', ' ')) AND slot_type = 'physical'
 ORDER BY slot_name;
"""

_DROP = """
SELECT slot_name FROM
    (SELECT slot_name, pg_drop_replication_slot(slot_name) FROM pg_replication_slots
      WHERE slot_name = ANY (string_to_array(:'names', ' '))
        AND slot_type = 'physical' AND NOT active OFFSET 0) AS dropped
 ORDER BY slot_name;
"""


def create_slots(upstream: Cluster, names: Iterable[str]) -> tuple[str, ...]:
    """Make physical slots that hold WAL from now on, where there are none: all or none.

    A standby can have them as well: they hold its WAL for the day it is promoted.

    Returns:
        The names of those that were not there, or were of no use any more.

    Raises:
        PreconditionFailed: there is no room for them, a logical slot has such a name,
            or no server runs.
        CommandFailed: the server refuses.
        ElephaasError: nothing is known of the host.
    """
    told = upstream.psql(
        _CREATE,
        values=_values(names),
        words="pg_create_physical_replication_slot",
    )
    lines = [line.split(" ", 1) for line in told.splitlines()]
    for kind, name in lines:
        if kind == "logical":
            raise PreconditionFailed(
                f"{upstream.host} has a logical slot named {name} already.",
                host=upstream.host,
                hint="Drop or rename it; standbys need a physical one.",
            )
        if kind == "full":
            raise PreconditionFailed(
                f"{upstream.host} has no room for another replication slot: it may "
                f"have {name}.",
                host=upstream.host,
                hint="Drop slots that nobody uses, or raise max_replication_slots and "
                "restart it.",
            )
    return tuple(name for kind, name in lines if kind == "made")


def read_slots(holder: Cluster, names: Iterable[str]) -> Mapping[str, bool]:
    """Tell which of these physical slots there are, and whether each is in use.

    Raises:
        ElephaasError: no server runs, or nothing is known of the host.
    """
    told = holder.psql(_READ, values=_values(names), words="read pg_replication_slots")
    rows = [line.split("|") for line in told.splitlines()]
    return {name: active == "t" for name, active in rows}


def drop_slots(holder: Cluster, names: Iterable[str]) -> tuple[str, ...]:
    """Drop those of these physical slots that nobody uses: they hold WAL for ever.

    Returns:
        The names of those that were dropped.

    Raises:
        ElephaasError: no server runs, it refuses, or nothing is known of the host.
    """
    told = holder.psql(_DROP, values=_values(names), words="pg_drop_replication_slot")
    return tuple(told.splitlines())


def _values(names: Iterable[str]) -> dict[str, str]:
    return {"names": " ".join(names)}
