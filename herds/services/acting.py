"""Runs a command on a cluster, and looks whether it has done its work already."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError

from herds.domain.cluster import Observation
from herds.errors import ElephaasError
from herds.postgres.cluster import Acted, Cluster

_FIRST = 0.3  # seconds; most commands are back by then, and nobody has to look
_BETWEEN = 0.1  # seconds between the end of a look and the next


def act_until(
    cluster: Cluster, name: str, until: Callable[[Observation], bool]
) -> Acted:
    """Run one of the ``COMMANDS`` until it ends or a state is seen.

    Debian's pg_ctlcluster comes back two seconds after the server that it started. A
    command that still runs goes on by itself, with its connection open: it is neither
    ended nor waited for, and what it prints later is nobody's.

    Raises:
        As ``Cluster.act``.
    """
    began = time.monotonic()
    done = _begin(lambda: cluster.act(name))
    pause = _FIRST
    while True:
        try:
            return done.result(timeout=pause)
        except TimeoutError:
            if done.done():
                raise
        pause = _BETWEEN
        seen = _look(cluster)
        if seen is None or not until(seen) or done.done():
            continue
        return Acted(
            command=cluster.command(name),
            status=None,
            stdout="",
            stderr="",
            seconds=time.monotonic() - began,
            seen=seen,
            goes_on=True,
        )


def _begin(act: Callable[[], Acted]) -> Future[Acted]:
    """Run it in a thread of its own, which no end of the process waits for."""
    done: Future[Acted] = Future()

    def run() -> None:
        try:
            done.set_result(act())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="act", daemon=True).start()
    return done


def _look(cluster: Cluster) -> Observation | None:
    """See the cluster; a host that does not answer now is the command's to tell of."""
    try:
        return cluster.look()
    except ElephaasError:
        return None
