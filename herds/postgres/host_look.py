"""Looks at all clusters of a host in one round trip, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from herds.domain.clock import Clock
from herds.domain.cluster import ClusterRef, Observation
from herds.errors import CommandTimedOut, OutcomeUnknown
from herds.ssh.shell import Shell, Stream

from .look import host_argv, new_mark, read_observation, split_host_output

_MOST = 16  # clusters in one command line and one output, neither of which is endless


def look_at_host(
    shell: Shell, clusters: Sequence[ClusterRef], clock: Clock, *, timeout: float
) -> list[Observation]:
    """See what the clusters of a host are doing now, running or not.

    Args:
        shell: where the host takes commands.
        clusters: all on this host.
        clock: where time comes from.
        timeout: seconds for each round trip; one is made for sixteen clusters.

    Returns:
        What was seen of each, in the same order; fewer where time ran out or the
        connection was lost in the middle.

    Raises:
        HostUnreachable, HostKeyUnknown, HostKeyChanged, LoginRefused: nothing is known
            of any.
    """
    seen: list[Observation] = []
    for first in range(0, len(clusters), _MOST):
        some = clusters[first : first + _MOST]
        mark, output = new_mark(), bytearray()

        def keep(stream: Stream, chunk: bytes, output: bytearray = output) -> None:
            if stream is Stream.STDOUT:
                output.extend(chunk)

        with suppress(CommandTimedOut, OutcomeUnknown):
            shell.run(host_argv(some, mark), ok=None, timeout=timeout, on_output=keep)
        text = output.decode("utf-8", "backslashreplace")
        now = clock.now()
        seen += [
            read_observation(fields, now) for fields in split_host_output(text, mark)
        ]
        if len(seen) < first + len(some):
            break
    return seen
