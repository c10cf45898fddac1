"""One command on one channel: sent, fed, drained, and asked how it ended."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import threading
from collections.abc import Sequence

import paramiko

from herds.ssh.deadline import Deadline
from herds.ssh.feed import Feed
from herds.ssh.output import Capture
from herds.ssh.shell import OnOutput, Stream, quoted
from herds.ssh.transport import HostTransport

RUN_VARIABLE = "ELEPHAAS_RUN"
"""Environment variable that marks a command's processes: "<run>.<process group>".

sshd starts every command as leader of an own session and process group, and the login
shell becomes the command by exec, so the shell's $$ is the group. Knowing the run is
enough to find the group later, over any connection, and costs no process and no byte
of output now.
"""

# Waits on a running command are cut into pieces this long, in seconds, to see the exit
# status and a cancellation, neither of which wakes the wait.
_PIECE = 0.1
_FEEDING_PIECE = 0.01

# An exit status without end of output means that a process left behind still holds it.
# Output on its way arrives without such a gap, in seconds, and is waited for this long.
_GAP = 0.3
_LONGEST_DRAIN = 10.0

_CHUNK = 32 * 1024

# The command, with a companion that reads the connection's end of our standard input:
# after the $1 bytes of input nothing ever comes until the connection is gone. The
# companion is a member of the group that it kills, so the group's number cannot have
# been given to another.
_TETHER = """\
exec 3<&0 </dev/null
input=$(head -c "$1" <&3; echo .)
shift
{ cat <&3; trap '' TERM; kill -s TERM -- -$$; sleep 5; kill -s KILL -- -$$
} >/dev/null 2>&1 &
companion=$!
exec 3<&-
printf %s "${input%.}" | "$@"
status=$?
kill "$companion"
exit "$status"
"""


class NotSentError(Exception):
    """The command never left this machine: nothing was run."""


class SessionRefusedError(Exception):
    """The host allows no further session on this connection: nothing was run."""


class DeadlinePassedError(Exception):
    """The command still runs at its deadline."""


class CancelAskedError(Exception):
    """The command still runs, and somebody asked to stop it."""


class RemoteCommand:
    """A command that runs, or has run, on a host."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes | Feed | None = None,
        on_output: OnOutput | None = None,
        tethered: bool = False,
    ) -> None:
        if tethered and (isinstance(stdin, Feed) or b"\0" in (stdin or b"")):
            raise ValueError("A tethered command reads nothing but a given text.")
        self.run = secrets.token_hex(8)
        self.line = quoted(argv)
        self.stdout = Capture()
        self.stderr = Capture()
        self._source = stdin if isinstance(stdin, Feed) else None
        self._unsent = memoryview(stdin if isinstance(stdin, bytes) else b"")
        self._has_stdin = stdin is not None
        self._on_output = on_output
        self._tethered = tethered
        self._wakeup = _Wakeup()
        if self._source is not None:
            self._source.taken_by(self._wakeup.set)
        self._transport: HostTransport
        self._channel: paramiko.Channel

    def send(self, transport: HostTransport, timeout: float) -> None:
        """Open a channel within ``timeout`` seconds and send the command.

        Raises NotSentError or SessionRefusedError; in both cases nothing was run.
        """
        opening = Deadline(timeout)
        try:
            channel = transport.open_session(timeout=timeout)
        except paramiko.ChannelException as error:
            raise SessionRefusedError from error
        except paramiko.SSHException as error:
            # paramiko keeps one error for a connection, not one for each of those who
            # wait on it: of several that are refused at once some get only this.
            if transport.is_active() and not opening.passed():
                raise SessionRefusedError from error
            raise NotSentError from error
        except (EOFError, OSError) as error:
            raise NotSentError from error
        channel.settimeout(0.0)
        channel.in_buffer.set_event(self._wakeup)
        channel.in_stderr_buffer.set_event(self._wakeup)
        self._transport, self._channel = transport, channel
        try:
            transport.request_exec(channel, self._marked_line())
        except (paramiko.SSHException, EOFError) as error:
            # The packet was not handed over whole, and a part of one means nothing.
            raise NotSentError from error

    def wait(self, deadline: Deadline, cancel: threading.Event | None = None) -> None:
        """Feed and drain the command until it has ended.

        Raises DeadlinePassedError or CancelAskedError while it still runs.
        """
        drain: _Drain | None = None
        while True:
            self._feed()
            moved = self._take_output()
            if self._output_is_over() and self.ended():
                return
            if self.ended():
                drain = drain or _Drain()
                if drain.is_over(moved):
                    return
            elif cancel is not None and cancel.is_set():
                raise CancelAskedError
            elif deadline.passed():
                raise DeadlinePassedError
            self._rest(deadline)

    def ended(self) -> bool:
        """Tell whether the host reported the command's end, or the channel closed."""
        return self._channel.exit_status_ready()

    def seen_to_end(self, seconds: float) -> bool:
        """Wait for the end; false where it did not come, or the connection is gone."""
        try:
            self.wait(Deadline(seconds))
        except DeadlinePassedError:
            return False
        return self.status is not None or self._transport.is_active()

    def mute(self) -> None:
        """Hand no further output to the caller."""
        self._on_output = None

    @property
    def status(self) -> int | None:
        """The exit status; None where the command ended without telling one."""
        status = self._channel.exit_status
        return None if status < 0 else status

    def lack_of_status(self) -> str:
        """Say, as a phrase, why there is no exit status."""
        if not self._transport.is_active():
            return "the connection was lost"
        if not self._channel.event_ready:
            return "the SSH server did not start it"
        return "it ended without an exit status, as a killed process does"

    def signal(self, name: str) -> None:
        """Ask the SSH server itself to signal the process group, where it can."""
        with contextlib.suppress(paramiko.SSHException, EOFError):
            self._transport.request_signal(self._channel, name)

    def close(self) -> None:
        """Give the channel back; this does not stop the command."""
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            self._channel.close()

    def abandon_input(self) -> None:
        """Take nothing more from a feed, so that its writer does not wait."""
        if self._source is not None:
            self._source.abandon()

    def said(self) -> str:
        """Return the output that explains a failure: standard error, else output."""
        return self.stderr.text().strip() or self.stdout.text().strip()

    def _marked_line(self) -> bytes:
        line = self.line
        if self._tethered:
            line = f"sh -c {shlex.quote(_TETHER)} sh {len(self._unsent)} {line}"
        elif not self._has_stdin:
            line += " </dev/null"
        marked = f"export {RUN_VARIABLE}={self.run}.$$;exec {line}"
        return marked.encode("utf-8", "surrogateescape")

    def _feed(self) -> None:
        """Send as much standard input as the host has room for."""
        if not self._has_stdin:
            return
        channel = self._channel
        try:
            while self._more_to_send() and channel.send_ready():
                sent = channel.send(bytes(self._unsent[:_CHUNK]))
                if not sent:
                    break
                self._unsent = self._unsent[sent:]
            if not self._unsent and (self._source is None or self._source.is_over()):
                if not self._tethered:
                    channel.shutdown_write()
                self._has_stdin = False
        except (OSError, EOFError, paramiko.SSHException):
            # The command stopped reading, or the connection is gone; how it ended
            # says which.
            self._unsent = self._unsent[:0]
            self._has_stdin = False
            self.abandon_input()

    def _more_to_send(self) -> bool:
        if not self._unsent and self._source is not None:
            self._unsent = memoryview(self._source.take())
        return bool(self._unsent)

    def _take_output(self) -> bool:
        channel, moved = self._channel, False
        while channel.recv_ready() or channel.recv_stderr_ready():
            moved = True
            if channel.recv_ready():
                self._take(Stream.STDOUT, self.stdout, channel.recv(_CHUNK))
            if channel.recv_stderr_ready():
                self._take(Stream.STDERR, self.stderr, channel.recv_stderr(_CHUNK))
        return moved

    def _take(self, stream: Stream, capture: Capture, chunk: bytes) -> None:
        capture.feed(chunk)
        if self._on_output is not None:
            self._on_output(stream, chunk)

    def _output_is_over(self) -> bool:
        channel = self._channel
        over = bool(channel.eof_received) or channel.closed
        return over and not (channel.recv_ready() or channel.recv_stderr_ready())

    def _rest(self, deadline: Deadline) -> None:
        """Wait until something may have changed."""
        piece = _FEEDING_PIECE if self._unsent else _PIECE
        piece = min(piece, max(deadline.remaining(), _FEEDING_PIECE))
        if self._output_is_over():
            self._channel.status_event.wait(piece)
        else:
            self._wakeup.next(piece)


class _Wakeup(threading.Event):
    """Set when either output has something; cleared only by the one who waits.

    paramiko's buffers clear their event when they are read empty, each without
    looking at the other.
    """

    def clear(self) -> None:
        """Ignore a buffer that was read empty."""

    def next(self, timeout: float) -> None:
        """Wait for news for at most ``timeout`` seconds."""
        self.wait(timeout)
        super().clear()


class _Drain:
    """Decides when output that nobody ends is not waited for any longer."""

    def __init__(self) -> None:
        self._longest = Deadline(_LONGEST_DRAIN)
        self._gap = Deadline(_GAP)

    def is_over(self, moved: bool) -> bool:
        """Tell whether the output has been quiet, or has gone on, for too long."""
        if moved:
            self._gap = Deadline(_GAP)
        return self._gap.passed() or self._longest.passed()
