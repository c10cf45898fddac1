"""Commands that wait on their hosts for the word, and are watched from there.

Everything that takes time is done before: the connection is open, the channel too, the
shell runs and knows the postmaster. The word costs half a round trip.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from herds.domain.lsn import Lsn
from herds.errors import ElephaasError, NotObserved, OutcomeUnknown, PreconditionFailed
from herds.ssh.feed import Feed
from herds.ssh.shell import Completed, Stream

from .cluster import Cluster
from .complaint import called
from .look import new_mark, script

_READY_WITHIN = 15.0  # seconds until a host has everything in place
_WAITS = 300.0  # seconds that a host waits for the word
_FINISH = 5.0  # seconds until a command that was left is stopped
_GRACE = 2  # seconds that a WAL sender may stand still while its server stops


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that an armed command told, with what it told of it.

    ``name`` is "ready", "down", "fenced", "gone", "crashed", "ended", "left" or
    "status".
    """

    name: str
    words: str

    @property
    def checkpoint(self) -> Lsn:
        """Of "down": where the record of the shutdown begins."""
        return Lsn(int(self.words.split()[0]))

    @property
    def timeline(self) -> int:
        """Of "down": the timeline that it ended on."""
        return int(self.words.split()[1])


class Armed:
    """One of the ``COMMANDS``, waiting on its host; made by ``arm``.

    ``senders_ended`` names the WAL senders that were ended because they stood still.
    """

    def __init__(self, cluster: Cluster, name: str, *, seconds: float) -> None:
        self.host = cluster.host
        self.command = cluster.command(name)
        self.told: dict[str, Event] = {}
        self.senders_ended: list[str] = []
        self._name = name
        self._mark = new_mark()
        self._feed = Feed()
        self._stop = threading.Event()
        self._went = False
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._rest = b""
        self._printed: list[str] = []
        self._ended: Completed | ElephaasError | None = None
        self._shell = cluster.shell
        argv = ["sh", "-c", script("armed.sh"), "elephaas", cluster.ref.data_directory]
        argv += [self._mark, self.command, name, str(max(1, int(seconds)))]
        argv += [str(_GRACE)]
        self._argv = argv
        self._seconds = seconds
        self._runner = threading.Thread(target=self._run, daemon=True)
        self._runner.start()

    def go(self, spared: Iterable[int] = ()) -> None:
        """Give the word.

        Args:
            spared: of "stop", the WAL senders that nothing is to end.
        """
        self._went = True
        self._feed.put(f"{' '.join(['go', *map(str, spared)])}\n".encode())

    def leave(self) -> None:
        """Have a "stop" that has not come to its end watched no more.

        Once this is back, nothing is done to the cluster but what the command does by
        itself; as far as its host can be reached.
        """
        self._feed.close()
        with suppress(ElephaasError):
            self.wait_for("left", "fenced", "gone", "crashed", seconds=_FINISH)

    def wait_for(self, *names: str, seconds: float) -> Event:
        """Wait until one of some events is told, or was already.

        Raises:
            NotObserved: none was in time; it goes on.
            PreconditionFailed: no postmaster lives there; nothing was run.
            OutcomeUnknown, HostUnreachable and others of a shell: it ended without.
        """
        deadline = time.monotonic() + seconds
        while True:
            for name in names:
                if name in self.told:
                    return self.told[name]
            try:
                event = self._events.get(timeout=max(deadline - time.monotonic(), 0.0))
            except queue.Empty:
                raise NotObserved(
                    f"{self.host} to tell {' or '.join(names)} after `{self.command}`",
                    observed=f"telling {', '.join(self.told) or 'nothing'}",
                    seconds=seconds,
                    host=self.host,
                ) from None
            if event is None:
                self._events.put(None)
                raise self._lost()
            self._keep(event)

    def printed(self) -> str:
        """Give what the command itself printed so far."""
        return "\n".join(line for line in self._printed if line.strip())

    @property
    def status(self) -> int | None:
        """The command's exit status, where it has told one."""
        self._take_told()
        return int(self.told["status"].words) if "status" in self.told else None

    def close(self) -> None:
        """Leave it: without the word it ends; with it, it goes on by itself.

        A command that was given the word and is still at work is not stopped.
        """
        self._feed.close()
        if self._went:
            return
        self._runner.join(_FINISH)
        self._stop.set()
        self._runner.join()

    def _take_told(self) -> None:
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                return
            if event is None:
                self._events.put(None)
                return
            self._keep(event)

    def _keep(self, event: Event) -> None:
        self.told[event.name] = event
        if event.name == "ended":
            self.senders_ended.append(event.words)

    def _lost(self) -> ElephaasError:
        ended = self._ended
        if isinstance(ended, Completed):
            if ended.status in {65, 69}:
                return PreconditionFailed(
                    f"No PostgreSQL server runs on {self.host} to {self._name}.",
                    host=self.host,
                )
            return OutcomeUnknown(
                self.host, self.command, "it ended without a word", ended.stderr
            )
        return ended or OutcomeUnknown(self.host, self.command, "it ended")

    def _run(self) -> None:
        ended: Completed | ElephaasError
        try:
            with called(self.command):
                ended = self._shell.run(
                    self._argv,
                    ok=None,
                    timeout=_WAITS + self._seconds,
                    stdin=self._feed,
                    on_output=self._read,
                    cancel=self._stop,
                )
        except ElephaasError as error:
            ended = error
        self._ended = ended
        self._events.put(None)

    def _read(self, stream: Stream, chunk: bytes) -> None:
        if stream is Stream.STDERR:
            self._printed.append(chunk.decode("utf-8", "replace").rstrip("\n"))
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            if text.startswith(f"{self._mark} "):
                name, _, words = text.removeprefix(f"{self._mark} ").partition(" ")
                self._events.put(Event(name=name, words=words))
            else:
                self._printed.append(text)


@contextmanager
def arm(cluster: Cluster, name: str, *, seconds: float) -> Iterator[Armed]:
    """Have one of the ``COMMANDS`` wait on its host until it is given the word.

    Of "stop" more is told than its exit status: "down" once pg_control says that the
    cluster was shut down, "fenced" when it cannot start as a primary any more ("yes",
    "standby already", "failed" with the reason), "gone" with its postmaster, "crashed"
    where that went without having been shut down; and "ended" of each WAL sender that
    stood still and was ended.

    Args:
        cluster: a running one.
        name: the key of the command.
        seconds: how long it is watched after the word.

    Raises:
        TemplateProblem: the template asks for something that is not known.
        ElephaasError: the host does not have it in place.
    """
    armed = Armed(cluster, name, seconds=seconds)
    try:
        armed.wait_for("ready", seconds=_READY_WITHIN)
        yield armed
    finally:
        armed.close()
