"""Breaks and mends the SSH server of one host of a lab."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab import Lab

_KEY = "/etc/ssh/ssh_host_ed25519_key"


class SshServer:
    """The SSH server of a host, with the processes of its sessions."""

    def __init__(self, lab: Lab, host: str) -> None:
        self._lab = lab
        self._host = host

    def hang(self) -> None:
        """Let it answer nothing any more, and close nothing."""
        self._signal("STOP")

    def go_on(self) -> None:
        """Let it answer again."""
        self._signal("CONT")

    @contextlib.contextmanager
    def with_another_key(self) -> Iterator[None]:
        """Present another host key until the block is left."""
        self._run(f"cp -p {_KEY} {_KEY}.was && cp -p {_KEY}.pub {_KEY}.pub.was")
        self._run(f"rm {_KEY} && ssh-keygen -q -t ed25519 -N '' -f {_KEY}")
        self._restart()
        try:
            yield
        finally:
            self._run(f"mv {_KEY}.was {_KEY} && mv {_KEY}.pub.was {_KEY}.pub")
            self._restart()

    def _restart(self) -> None:
        # The hangup lets sshd execute itself anew (sshd(8)); sessions go on.
        self._run("kill -HUP $(cat /run/sshd.pid)")

    def _signal(self, name: str) -> None:
        # A host numbers its own processes, and these are all that pgrep sees there.
        self._run(f"kill -{name} $(pgrep -x sshd)")

    def _run(self, script: str) -> None:
        self._lab.exec(self._host, ["sh", "-c", script])
