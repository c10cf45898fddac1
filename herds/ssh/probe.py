"""Find out whether this service can run commands on a host."""

from __future__ import annotations

from herds.errors import HostUnreachable, LoginRefused
from herds.ssh.command import (
    DeadlinePassedError,
    NotSentError,
    RemoteCommand,
    SessionRefusedError,
)
from herds.ssh.connection import Login, connect
from herds.ssh.deadline import Deadline
from herds.ssh.host_keys import HostKey


def check_login(host: str, host_key: HostKey, login: Login) -> None:
    """Log in on the host that owns this key, run the command ``true``, and leave.

    A login alone proves little: a user whose shell is nologin has one too.

    Raises HostUnreachable with its reason, HostKeyChanged, or LoginRefused, within
    twice the login's ``connect_timeout``.
    """
    transport = connect(host, host_key, login)
    command = RemoteCommand(["true"])
    try:
        command.send(transport, login.connect_timeout)
        command.wait(Deadline(login.connect_timeout))
    except (NotSentError, SessionRefusedError, DeadlinePassedError) as error:
        raise HostUnreachable(
            host,
            f"it lets user {login.user} in, but ran no command within "
            f"{login.connect_timeout:g} s",
        ) from error
    finally:
        transport.close()
    if command.status != 0:
        raise LoginRefused(
            host,
            login.user,
            reason="it lets the user in, but its login shell runs no commands",
            hint=f"Give user {login.user} on {host} a login shell such as /bin/bash.",
        )
