"""Goes on trying while the metadata database is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

logger = logging.getLogger(__name__)

T = TypeVar("T")
_PAUSE = 0.5  # seconds
_LAST_TRIES = 10


def patiently(work: Callable[[], T], stopping: threading.Event) -> T:
    """Do something in the metadata database, however often it takes.

    Args:
        work: what to do; it may be done again after a lost connection.
        stopping: once set, a few more attempts are made and then no more.

    Raises:
        OperationalError, InterfaceError: the database stayed away until the end.
    """
    tries_left = _LAST_TRIES
    while True:
        try:
            return work()
        except (OperationalError, InterfaceError) as away:
            connection.close()
            logger.warning("The metadata database is away: %s", away)
            if stopping.is_set():
                tries_left -= 1
                if not tries_left:
                    raise
        stopping.wait(_PAUSE)
        if stopping.is_set():
            threading.Event().wait(_PAUSE)
