"""Runs ElepHaaS on the control host: manage.py, and servers seen at localhost."""

import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab import access
from lab.errors import LabError
from lab.layout import CONTROL
from lab.state import LabState

SOCKET = "{socket}"
"""Stands in a command line for the number of the inherited listening socket."""


@dataclass(frozen=True, slots=True)
class ManageHook:
    """How manage.py is run on the control host, recorded by whoever set it up there."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    directory: str
    user: str


class Control:
    """The control host of a lab that is up."""

    def __init__(self, state: LabState) -> None:
        self._state = state

    @property
    def directory(self) -> Path:
        """A directory with the same path on the machine and on the control host.

        It holds the lab's keys, and goes with the lab.
        """
        return self._state.keys

    @property
    def _hook_file(self) -> Path:
        return self.directory / "manage.json"

    def set_manage(self, hook: ManageHook) -> None:
        """Record how ``manage`` runs manage.py."""
        temporary = self._hook_file.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(hook), indent=1))
        temporary.rename(self._hook_file)

    def manage_hook(self) -> ManageHook:
        """Return what ``set_manage`` recorded; LabError when nothing was."""
        try:
            data: dict[str, Any] = json.loads(self._hook_file.read_text())
        except FileNotFoundError:
            raise LabError(
                f"ElepHaaS is not set up on the control host of lab {self._state.name}."
                "\nSet it up with: demo-up"
            ) from None
        return ManageHook(**data | {"argv": tuple(data["argv"])})

    def manage_command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command line that runs manage.py with ``arguments`` there."""
        hook = self.manage_hook()
        return self.command(
            [*hook.argv, *arguments],
            user=hook.user,
            environment=hook.environment,
            directory=hook.directory,
        )

    def command(
        self,
        argv: Sequence[str],
        *,
        user: str = "root",
        environment: Mapping[str, str] | None = None,
        directory: str = "/",
    ) -> list[str]:
        """Return the command line that runs ``argv`` on the control host."""
        init = access.init_of(self._state, CONTROL)
        return access.entering(
            init, argv, user=user, environment=environment, directory=directory
        )

    def serve_command(
        self,
        argv: Sequence[str],
        *,
        port: int,
        log: Path,
        user: str = "root",
        environment: Mapping[str, str] | None = None,
        directory: str = "/",
    ) -> subprocess.Popen[bytes]:
        """Start a server on the control host that answers at the machine's localhost.

        A socket belongs to the network in which it was opened. This one is opened on
        the machine's 127.0.0.1:``port`` and handed to the server as a descriptor, whose
        number replaces ``{socket}`` in ``argv``; everything the server opens itself is
        on the lab's network. Output is added to ``log``. Raises LabError when the port
        is taken.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError as error:
                raise LabError(
                    f"Port {port} of this machine is taken ({error.strerror}). "
                    "Choose another one with --port."
                ) from error
            listener.listen(128)
            number = listener.fileno()
            with_socket = [part.replace(SOCKET, str(number)) for part in argv]
            command = self.command(
                with_socket, user=user, environment=environment, directory=directory
            )
            return start(command, log, keep=[number])


def start(
    command: Sequence[str], log: Path, *, keep: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a program that outlives the caller; its output is added to ``log``.

    ``keep`` are descriptors that it inherits.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=keep,
            start_new_session=True,
            cwd=os.sep,
        )
