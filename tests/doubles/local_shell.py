"""A shell whose host is this machine: it runs what the SSH adapter would send."""

from __future__ import annotations

import os
import pwd
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence

from herds.errors import CommandFailed, CommandTimedOut
from herds.ssh.shell import Completed, OnOutput, Stream, quoted


class LocalShell:
    """Runs commands as a login on a host does: one line of text, given to ``sh -c``.

    Args:
        user: who runs them; root becomes this user, anybody else stays who they are.
        environment: variables besides PATH, HOME and USER.
    """

    host = "ele01"

    def __init__(
        self, user: str | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        account = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
        self._prefix = [] if user is None else _become(account)
        self._environment = {
            "PATH": os.defpath,
            "HOME": account.pw_dir,
            "USER": account.pw_name,
            **(environment or {}),
        }
        self.sent: list[str] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] | None = (0,),
        timeout: float = 60.0,
        stdin: bytes | None = None,
        on_output: OnOutput | None = None,
        cancel: threading.Event | None = None,
        tethered: bool = False,
    ) -> Completed:
        """Run a command; see ``herds.ssh.shell.Shell.run``.

        What it prints is handed on when it has ended.
        """
        assert cancel is None
        assert not tethered
        line = quoted(argv)
        self.sent.append(line)
        began = time.monotonic()
        try:
            done = subprocess.run(
                [*self._prefix, "sh", "-c", line],
                input=stdin or b"",
                capture_output=True,
                timeout=timeout,
                check=False,
                cwd="/",
                env=self._environment,
            )
        except subprocess.TimeoutExpired as late:
            raise CommandTimedOut(self.host, line, timeout, stopped=False) from late
        if on_output is not None:
            on_output(Stream.STDOUT, done.stdout)
            on_output(Stream.STDERR, done.stderr)
        stdout, stderr = (
            stream.decode("utf-8", "backslashreplace")
            for stream in (done.stdout, done.stderr)
        )
        if ok is not None and done.returncode not in ok:
            raise CommandFailed(self.host, line, done.returncode, stderr or stdout)
        return Completed(
            argv=tuple(argv),
            status=done.returncode,
            stdout=stdout,
            stderr=stderr,
            seconds=time.monotonic() - began,
            truncated=False,
        )


def _become(account: pwd.struct_passwd) -> list[str]:
    return [
        *("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}"),
        "--init-groups",
    ]
