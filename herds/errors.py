"""The one tree of errors a person is told about, each with its data and its sentence.

::

    ElephaasError
    ├── HostUnreachable       no SSH connection came about
    ├── HostKeyUnknown        no host key was accepted for this host yet
    ├── HostKeyChanged        the host shows another key than the accepted one
    ├── LoginRefused          the host is there, but does not let this user in
    ├── CommandFailed         a command ended with a status that was not allowed
    ├── CommandTimedOut       a command did not end by its deadline
    ├── OutcomeUnknown        the connection was lost while a command ran
    ├── NameserverUnreachable a name server gave no usable answer
    ├── NameserverRefused     a name server did not take a change
    ├── NameserverSilent      whether a name server made a change is not known
    ├── OperationCancelled    a person asked to stop
    ├── PreconditionFailed    what has to be true before acting is not true
    │   ├── NotAllowed        this person lacks the permission
    │   └── PlanOutdated      the plan cannot be confirmed any more
    ├── NotObserved           a state that was awaited did not come by its deadline
    ├── RolledBack            it failed, and all that was done was undone
    └── Interrupted           it stopped half-way and can be resumed

An error crosses threads, processes and the audit trail, so all of them can be pickled
and none holds a connection, a model or another library's exception. Adapters raise the
most specific one with ``raise … from``; nobody matches on the text.
"""

from __future__ import annotations

from typing import Any, Self

OUTPUT_TAIL = 2000
"""How many characters of a command's output an error keeps: its end."""

_BRIEF_COMMAND = 120


class ElephaasError(Exception):
    """Something a person has to know: what happened, where, and what to do next.

    ``message`` says what happened and what is true now, in whole sentences; ``hint``
    says what to do next. ``command`` is the command line as it was sent to the host,
    ``status`` its exit status, ``output`` the end of what it printed.
    """

    def __init__(
        self,
        message: str,
        *,
        host: str = "",
        command: str = "",
        status: int | None = None,
        output: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.host = host
        self.command = command
        self.status = status
        self.output = output[-OUTPUT_TAIL:]
        self.hint = hint

    def sentence(self) -> str:
        """Return what happened followed by what to do next, on one line."""
        return f"{self.message} {self.hint}".strip()

    def __str__(self) -> str:
        return self.sentence()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


class HostUnreachable(ElephaasError):
    """No SSH connection came about; nothing was run.

    ``reason`` is a phrase without a full stop: "connection refused on port 22".
    """

    def __init__(self, host: str, reason: str, *, hint: str = "") -> None:
        super().__init__(
            f"{host} could not be reached over SSH ({reason}).",
            host=host,
            hint=hint
            or "What runs there is unknown. Check the host and its network, "
            "then try again.",
        )
        self.reason = reason


class HostKeyUnknown(ElephaasError):
    """No host key was accepted for this host yet; nothing was run.

    ``presented`` is the SHA256 fingerprint the host shows, where it is known.
    """

    def __init__(self, host: str, *, presented: str = "", hint: str = "") -> None:
        shown = f" It presents {presented}." if presented else ""
        super().__init__(
            f"The SSH host key of {host} was never accepted, "
            f"so nothing was run there.{shown}",
            host=host,
            hint=hint
            or "Compare its fingerprint on the host itself, "
            "then accept it on the server's page.",
        )
        self.presented = presented


class HostKeyChanged(ElephaasError):
    """The host presents another key than the accepted one; nothing was run.

    ``presented`` and ``pinned`` are SHA256 fingerprints. ``presented`` is empty when
    the host no longer has any key of the accepted key's type.
    """

    def __init__(
        self, host: str, *, presented: str, pinned: str, hint: str = ""
    ) -> None:
        shown = (
            f"presents the SSH host key {presented}"
            if presented
            else ("no longer presents an SSH host key of the accepted type")
        )
        super().__init__(
            f"{host} {shown}, but the accepted one is {pinned}; nothing was run there.",
            host=host,
            hint=hint
            or "Either the host was installed anew or another machine answers in its "
            "place. Compare the fingerprint on the host itself before accepting it.",
        )
        self.presented = presented
        self.pinned = pinned


class LoginRefused(ElephaasError):
    """The host is there, but does not let this user in; nothing was run.

    ``reason`` is a phrase without a full stop, for what the host did other than
    refusing the key: "it closed the connection".
    """

    def __init__(
        self, host: str, user: str, *, reason: str = "", hint: str = ""
    ) -> None:
        why = f" ({reason})" if reason else ""
        super().__init__(
            f"{host} refused the SSH login of user {user} with this service's key"
            f"{why}.",
            host=host,
            hint=hint
            or f"Check that user {user} exists on {host} and that its "
            "~/.ssh/authorized_keys holds this service's public key.",
        )
        self.user = user
        self.reason = reason


class CommandFailed(ElephaasError):
    """A command ended with an exit status that was not among the allowed ones."""

    def __init__(
        self, host: str, command: str, status: int, output: str = "", *, hint: str = ""
    ) -> None:
        said = _last_line(output)
        super().__init__(
            f"`{_brief(command)}` ended with exit status {status} on {host}"
            + (f": {said}" if said else " and printed nothing."),
            host=host,
            command=command,
            status=status,
            output=output,
            hint=hint,
        )


class CommandTimedOut(ElephaasError):
    """A command did not end by its deadline.

    ``stopped`` says whether its processes were seen to be gone afterwards; where they
    were not, the command may still be running on the host.
    """

    def __init__(
        self,
        host: str,
        command: str,
        seconds: float,
        output: str = "",
        *,
        stopped: bool,
        hint: str = "",
    ) -> None:
        super().__init__(
            f"`{_brief(command)}` did not end within {seconds:g} s on {host}"
            + (" and was stopped." if stopped else "; it may still be running there."),
            host=host,
            command=command,
            output=output,
            hint=hint or "Look at the state it left before trying again.",
        )
        self.seconds = seconds
        self.stopped = stopped


class OutcomeUnknown(ElephaasError):
    """The connection was lost while a command ran: it may have done its work or not.

    ``reason`` is a phrase without a full stop: "the host closed the connection".
    """

    def __init__(
        self, host: str, command: str, reason: str, output: str = "", *, hint: str = ""
    ) -> None:
        super().__init__(
            f"The outcome of `{_brief(command)}` on {host} is unknown ({reason}).",
            host=host,
            command=command,
            output=output,
            hint=hint or "Look at the state of the host before trying again.",
        )
        self.reason = reason


class NameserverUnreachable(ElephaasError):
    """A name server gave no usable answer; nothing was changed there.

    ``reason`` is a phrase without a full stop: "no answer within 2 s".
    """

    def __init__(self, server: str, reason: str, *, hint: str = "") -> None:
        super().__init__(
            f"The name server {server} could not be asked ({reason}).",
            host=server,
            hint=hint or "Check the name server and the way to it, then try again.",
        )
        self.reason = reason


class NameserverRefused(ElephaasError):
    """A name server did not take a change; the name is as it was.

    ``message`` says what was refused and why; ``rcode`` is the server's word for it,
    such as "REFUSED".
    """

    def __init__(
        self, server: str, message: str, *, rcode: str = "", hint: str = ""
    ) -> None:
        super().__init__(
            message,
            host=server,
            hint=hint
            or "Check the key in the setting DNS, and the update policy of the zone.",
        )
        self.rcode = rcode


class NameserverSilent(ElephaasError):
    """A change was sent to a name server, and whether it was made is not known.

    ``message`` says what was to be changed, and what was seen last.
    """

    def __init__(self, server: str, message: str, *, hint: str = "") -> None:
        super().__init__(
            message,
            host=server,
            hint=hint or "Refresh DNS: it asks again, and changes what is still wrong.",
        )


class OperationCancelled(ElephaasError):
    """A person asked to stop.

    For a cancelled remote command, ``stopped`` says whether its processes were seen to
    be gone afterwards.
    """

    def __init__(
        self,
        message: str = "This was cancelled.",
        *,
        host: str = "",
        command: str = "",
        output: str = "",
        stopped: bool = True,
        hint: str = "",
    ) -> None:
        super().__init__(message, host=host, command=command, output=output, hint=hint)
        self.stopped = stopped

    @classmethod
    def of_command(
        cls, host: str, command: str, output: str = "", *, stopped: bool
    ) -> Self:
        """Return the error for a remote command that was running when asked to stop."""
        return cls(
            f"`{_brief(command)}` was cancelled on {host}"
            + (" and was stopped." if stopped else "; it may still be running there."),
            host=host,
            command=command,
            output=output,
            stopped=stopped,
        )

    @classmethod
    def before_command(cls, host: str, command: str) -> Self:
        """Return the error for a remote command that was not started any more."""
        return cls(
            f"`{_brief(command)}` was cancelled before it was started on {host}.",
            host=host,
            command=command,
        )


class PreconditionFailed(ElephaasError):
    """What has to be true before acting is not true; nothing was changed."""


class ServerRuns(PreconditionFailed):
    """A server runs on data that was to be at rest; nothing was changed."""


class NotAllowed(PreconditionFailed):
    """This person lacks the permission; nothing was changed."""


class PlanOutdated(PreconditionFailed):
    """The plan was confirmed, discarded or left too long; nothing was changed."""


class NotObserved(ElephaasError):
    """A state that was awaited did not come by its deadline.

    ``awaited`` and ``observed`` are phrases that follow "for" and "was":
    "trade on ele02 to be online", "shut down".
    """

    def __init__(
        self,
        awaited: str,
        *,
        observed: str,
        seconds: float,
        host: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(
            f"Waited {seconds:g} s for {awaited}; what was seen last was "
            f"{observed or 'nothing'}.",
            host=host,
            hint=hint,
        )
        self.awaited = awaited
        self.observed = observed
        self.seconds = seconds


class RolledBack(ElephaasError):
    """It did not come to its end; everything is as it was before, and was seen so."""


class Interrupted(ElephaasError):
    """It stopped half-way, and there is no way back: it can be resumed."""


def _restore(
    kind: type[ElephaasError], args: tuple[Any, ...], state: dict[str, Any]
) -> ElephaasError:
    """Rebuild an unpickled error without calling its class's own constructor."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def _brief(command: str) -> str:
    """Return a command line short enough to stand inside a sentence, on one line."""
    line = " ".join(command.split())
    if len(line) <= _BRIEF_COMMAND:
        return line
    return f"{line[: _BRIEF_COMMAND - 1]}…"


def _last_line(output: str) -> str:
    """Return the last line that says something, ended like a sentence."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if not lines:
        return ""
    return lines[-1] if lines[-1].endswith((".", "!", "?")) else f"{lines[-1]}."


NOTHING_KNOWN = (
    CommandTimedOut,
    HostKeyChanged,
    HostKeyUnknown,
    HostUnreachable,
    LoginRefused,
    OutcomeUnknown,
)
"""Errors after which the state of an instance is unknown."""
