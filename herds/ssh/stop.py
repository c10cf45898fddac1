"""Stop a command's whole process group on its host, and see that it is gone."""

from __future__ import annotations

from herds.ssh.command import (
    RUN_VARIABLE,
    DeadlinePassedError,
    NotSentError,
    RemoteCommand,
    SessionRefusedError,
)
from herds.ssh.deadline import Deadline
from herds.ssh.transport import HostTransport

# Positional: the marker up to the process group, and the polls to grant of 50 ms each.
# A group that only zombies are left of counts as gone. Processes that made themselves
# a new session, as a postmaster does, belong to another group and are left alone; the
# group is taken only from a process that is still a member of it, so that a number
# given to somebody else meanwhile is never signalled.
_STOP = r"""
marker=$1 polls=$2
members() {
  cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^[0-9]* (.*) //' |
    awk -v group="$1" '$3 == group && $1 != "Z" { n++ } END { print n + 0 }'
}
gone_after() {
  left=$1
  while [ "$(members "$group")" -gt 0 ]; do
    [ "$left" -gt 0 ] || return 1
    left=$((left - 1))
    sleep 0.05
  done
}
group=
for environ in $(grep -zlas "^$marker" /proc/[0-9]*/environ); do
  process=${environ%/environ}
  said=$(grep -zhas "^$marker" "$environ" | tr -d '\0')
  is=$(sed 's/^[0-9]* (.*) //' "$process/stat" 2>/dev/null | cut -d ' ' -f 3)
  if [ -n "$is" ] && [ "$is" = "${said##*.}" ]; then group=$is; break; fi
done
[ -n "$group" ] || { echo none; exit; }
kill -s TERM -- "-$group" 2>/dev/null
gone_after "$polls" && { echo gone; exit; }
kill -s KILL -- "-$group" 2>/dev/null
gone_after 40 && { echo gone; exit; }
echo left
"""


class NotAnsweredError(Exception):
    """The host did not answer over this connection."""


def stop_processes(transport: HostTransport, run: str, grace: float) -> str:
    """Stop the processes of a run over any connection to its host.

    They have ``grace`` seconds after SIGTERM to end by themselves, then comes SIGKILL.
    Returns "gone" when they were seen to be gone, "none" when none was found, which
    proves little, "left" when some would not go, and "refused" when the host allows no
    session more. Raises NotAnsweredError when the host does not answer in time.
    """
    argv = ["sh", "-c", _STOP, "sh", f"{RUN_VARIABLE}={run}.", str(int(grace / 0.05))]
    script = RemoteCommand(argv)
    try:
        script.send(transport, timeout=3.0)
    except SessionRefusedError:
        return "refused"
    except NotSentError as error:
        raise NotAnsweredError from error
    try:
        script.wait(Deadline(grace + 5.0))
    except DeadlinePassedError as error:
        raise NotAnsweredError from error
    finally:
        script.close()
    if script.status is None:
        raise NotAnsweredError
    return script.stdout.text().strip()
