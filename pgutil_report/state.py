"""Keeps what was reported last, in a file of which nobody else may know or decide."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pgutil_report import files

SYSTEM_DIRECTORY = "/var/lib/pgutil_report"
NAME = "state.json"
LARGEST = 4 * 1024 * 1024
_FORMAT = 1


class Unsafe(Exception):
    """The state file cannot be trusted or kept; says why and what to do."""


@dataclass
class State:
    """What was acknowledged by a metadata database, and when (seconds of the epoch).

    Attributes:
        target: the metadata database and the name of the host; of another one nothing
            is known.
        heard_at: when it last took any word of this host.
        sent: by data directory, what it was told last: ``place``, ``values``,
            ``position`` and ``at``.
    """

    target: str = ""
    heard_at: float = 0.0
    sent: dict[str, dict[str, Any]] = field(default_factory=dict)

    def aim(self, target: str) -> None:
        """Forget what another metadata database, or under another name, was told."""
        if self.target != target:
            self.target, self.heard_at = target, 0.0
            for entry in self.sent.values():
                entry["at"], entry["values"] = 0.0, {}


def default_path() -> str:
    """Return where the state lies: what systemd gives, /var/lib, else one's home."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given.startswith("/"):
        return os.path.join(given, NAME)
    if os.access(SYSTEM_DIRECTORY, os.W_OK):
        return os.path.join(SYSTEM_DIRECTORY, NAME)
    base = os.environ.get("XDG_STATE_HOME", "")
    if not base.startswith("/"):
        base = os.path.expanduser("~/.local/state")
    return os.path.join(base, "pgutil_report", NAME)


def read(path: str) -> tuple[State, str]:
    """Return the state, and a sentence where it could not be understood, or "".

    A file that is not there, or is damaged, says that nothing was reported yet.

    Raises:
        Unsafe: when others may have written it.
    """
    _check_directory(os.path.dirname(path))
    try:
        text = _read_own(path)
    except FileNotFoundError:
        return State(), ""
    except files.Unfit as error:
        return State(), f"{error} Everything is reported again."
    try:
        return _parsed(text), ""
    except (ValueError, TypeError, KeyError, RecursionError):
        return State(), f"{path} is damaged. Everything is reported again."


def _parsed(text: str) -> State:
    data = json.loads(text)
    if data["format"] != _FORMAT:
        raise ValueError("another format")
    sent = {
        str(directory): {
            "place": str(entry["place"]),
            "values": dict(entry["values"]),
            "position": None if entry["position"] is None else int(entry["position"]),
            "at": float(entry["at"]),
        }
        for directory, entry in data["sent"].items()
    }
    return State(str(data["target"]), float(data["heard_at"]), sent)


def write(path: str, state: State) -> None:
    """Keep the state: all of it, or what was there before.

    Raises:
        Unsafe: when the place is not ours alone, or cannot be written to.
    """
    directory = os.path.dirname(path)
    content = json.dumps(
        {
            "format": _FORMAT,
            "target": state.target,
            "heard_at": state.heard_at,
            "sent": state.sent,
        },
        indent=1,
    )
    temporary = f"{path}.new"
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        _check_directory(directory)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600)
        with open(descriptor, "w", encoding="ascii") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, path)
    except OSError as error:
        raise Unsafe(
            f"{path} cannot be written: {error.strerror}. What was reported is "
            "reported again next time."
        ) from None


@contextlib.contextmanager
def held(path: str, seconds: float) -> Iterator[None]:
    """Let one agent of this user at a time work with a state file.

    Args:
        path: of the state file.
        seconds: to wait for another agent.

    Raises:
        Unsafe: when the other one takes longer, or the place is not ours alone.
    """
    directory = os.path.dirname(path)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        _check_directory(directory)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(f"{path}.lock", flags, 0o600)
    except OSError as error:
        raise Unsafe(
            f"{directory} cannot be written to: {error.strerror}. Make it for the user "
            "who runs the agent, or name another place as state_file in [report]."
        ) from None
    try:
        deadline = time.monotonic() + seconds
        while not _lock(descriptor):
            if time.monotonic() > deadline:
                raise Unsafe(
                    f"Another pgutil_report is at work here; it holds {path}.lock."
                )
            time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_directory(directory: str) -> None:
    try:
        found = os.lstat(directory)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        raise Unsafe(f"{directory} is no directory; the state is not kept there.")
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Unsafe(
            f"{directory} belongs to, or is open to, somebody else. It has to belong "
            "to the user who runs the agent, with mode 0700."
        )


def _read_own(path: str) -> str:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Unsafe(f"{path} cannot be read: {error.strerror}.") from None
    is_ours = found.st_uid == os.geteuid() and not found.st_mode & 0o077
    if not stat.S_ISREG(found.st_mode) or not is_ours:
        raise Unsafe(
            f"{path} is a link, belongs to somebody else, or is open to others. Delete "
            "it; everything is then reported again."
        )
    try:
        # In our own directory nobody exchanges it between the look and the reading.
        text, _ = files.read_with_owner(path, LARGEST, follow=False)
    except OSError as error:
        raise Unsafe(f"{path} cannot be read: {error.strerror}.") from None
    return text
