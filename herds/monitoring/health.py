"""Whether this site can do its work: the parts that readiness looks at."""

from __future__ import annotations

import logging
from functools import cache

from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from herds.selectors.operations import workers_alive

logger = logging.getLogger(__name__)

FINE = "ok"


def parts() -> dict[str, str]:
    """Look at metadata, migrations and workers; each is ``ok`` or says what is wrong.

    The words are the same for everybody and tell nothing of hosts, users or versions:
    whoever may ask need not have logged in. What happened stands in the log.
    """
    try:
        connection.ensure_connection()
        has_all = _shipped() <= set(MigrationRecorder(connection).applied_migrations())
        has_worker = has_all and workers_alive().exists()
    except Error as error:
        logger.warning("Not ready: the metadata cannot be read (%s)", error)
        return {
            "metadata": "cannot be read",
            "migrations": "unknown",
            "worker": "unknown",
        }
    return {
        "metadata": FINE,
        "migrations": FINE if has_all else "not all applied",
        "worker": FINE if has_worker else ("none is alive" if has_all else "unknown"),
    }


@cache
def _shipped() -> frozenset[tuple[str, str]]:
    """Read from the disk which migrations this version of the site needs."""
    loader = MigrationLoader(None, ignore_no_migrations=True)
    return frozenset(loader.graph.leaf_nodes())
