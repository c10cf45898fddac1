"""A cluster on a host: looked at, and acted on by the templates of ``COMMANDS``."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from herds.domain.clock import Clock
from herds.domain.cluster import ClusterRef, Observation
from herds.domain.probe import Probe
from herds.errors import (
    CommandFailed,
    CommandTimedOut,
    OperationCancelled,
    OutcomeUnknown,
    PreconditionFailed,
)
from herds.ssh.shell import Completed, Shell

from .commands import CommandTemplates, version_parts
from .look import WHOLE, look_argv, new_mark, read_observation, script, split_output
from .probe import probe_argv, read_probe, split_probe
from .sql_text import variables

LOOK_TIMEOUT = 15.0  # seconds; psql itself gives up after 5 + 5
PROBE_TIMEOUT = 60.0  # seconds; telling the size of a large directory takes a while

_ASKED_AFTER = {"reload": ("reload.sql",)}
"""What a server is asked after a command, where that is less than everything."""

_NOT_AS_NEEDED = {
    65: "holds no PostgreSQL cluster",
    69: "has no running server",
    73: "has a running server",
}
"""What the scripts of this package say by their exit status (cluster.sh, ``need``)."""

# The server's log is read by more people than a connection string's password is for.
_UNLOGGED = """\
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
"""


@dataclass(frozen=True, kw_only=True)
class Acted:
    """A command that was run on a cluster, and what was seen right after it.

    ``status`` is None where the command was not run because the postmaster it
    needs does not live, and where it ``goes_on``: it has not come back yet.
    """

    command: str
    status: int | None
    stdout: str
    stderr: str
    seconds: float
    seen: Observation
    goes_on: bool = False


class Cluster:
    """One cluster, reached through one shell."""

    def __init__(
        self,
        ref: ClusterRef,
        shell: Shell,
        templates: CommandTemplates,
        clock: Clock,
        *,
        command_timeout: float,
    ) -> None:
        self.ref = ref
        self._shell = shell
        self._templates = templates
        self._clock = clock
        self._command_timeout = command_timeout

    @property
    def host(self) -> str:
        """The host's name."""
        return self.ref.hostname

    @property
    def shell(self) -> Shell:
        """Where its host takes commands."""
        return self._shell

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self._clock

    def look(self) -> Observation:
        """See what the cluster is doing now, running or not.

        Raises:
            HostUnreachable, HostKeyUnknown, HostKeyChanged, LoginRefused,
            CommandTimedOut, OutcomeUnknown: nothing is known.
        """
        mark = new_mark()
        words = f"look at {self.ref.data_directory}"
        done = self._run(look_argv(self.ref, mark), words, LOOK_TIMEOUT)
        _, fields = split_output(done.stdout, mark)
        if not fields:
            raise OutcomeUnknown(self.host, words, "it was cut off", done.stderr)
        return read_observation(fields, self._clock.now())

    def probe(self, *, sizes: bool = True) -> Probe:
        """Tell everything about the cluster, in one round trip.

        Args:
            sizes: whether the sizes of its directories are told, which takes a while.

        Raises:
            HostUnreachable, HostKeyUnknown, HostKeyChanged, LoginRefused,
            CommandTimedOut, OutcomeUnknown: nothing is known.
        """
        mark = new_mark()
        words = f"probe of {self.ref.data_directory}"
        argv = probe_argv(self.ref, mark, sizes=sizes)
        done = self._run(argv, words, PROBE_TIMEOUT)
        fields = split_probe(done.stdout, mark)
        if not fields:
            raise OutcomeUnknown(self.host, words, "it was cut off", done.stderr)
        return read_probe(fields, self._clock.now())

    def psql(
        self,
        text: str,
        *,
        values: Mapping[str, str] | None = None,
        words: str = "psql",
        database: str = "postgres",
        timeout: float = 30.0,
        secret: bool = False,
        cancel: threading.Event | None = None,
    ) -> str:
        """Run SQL on the running server, as the remote user, over its own socket.

        Statements are committed one by one, and the first that fails ends the rest.

        Args:
            text: the SQL; it goes in on standard input and is seen in no process list.
            values: what the SQL names as ``:'name'``, quoted there by psql.
            words: what is done, for errors: ``"pg_create_physical_replication_slot"``.
            database: where it is run.
            timeout: seconds for all of it.
            secret: whether the text holds a secret: an error then repeats no part of
                it, and the server does not log it.
            cancel: stops it when set.

        Returns:
            The rows, a line each, with ``|`` between the columns.

        Raises:
            PreconditionFailed: no postmaster lives here.
            CommandFailed: with the server's own words.
            HostUnreachable, HostKeyUnknown, HostKeyChanged, LoginRefused: nothing
                was run.
            CommandTimedOut, OutcomeUnknown, OperationCancelled: it may have been run.
        """
        ref = self.ref
        seconds = f"{max(1, int(timeout))}s"
        argv = ["sh", "-c", script("psql.sh"), "elephaas", ref.data_directory]
        argv += [str(ref.port), database, seconds, "terse" if secret else "default"]
        done = self.run_script(
            argv,
            words,
            timeout=timeout + 10.0,
            stdin=(variables(values or {}) + _UNLOGGED * secret + text).encode(),
            cancel=cancel,
        )
        if done.status != 0:
            raise CommandFailed(self.host, words, done.status, done.stderr)
        return done.stdout.removesuffix("\n")

    def leftovers(self) -> tuple[int, ...]:
        """Tell which processes work in the data directory, whoever started them.

        Sessions that are busy outlive a postmaster that was killed, and go on writing:
        a directory is only at rest when nobody works in it.

        Raises:
            ElephaasError: nothing is known of the host.
        """
        argv = ["sh", "-c", script("leftovers.sh"), "elephaas", self.ref.data_directory]
        done = self.run_script(argv, "look for processes in the data directory")
        return tuple(map(int, done.stdout.split()))

    def run_script(
        self,
        argv: list[str],
        words: str,
        *,
        timeout: float = 30.0,
        stdin: bytes | None = None,
        cancel: threading.Event | None = None,
    ) -> Completed:
        """Run a script of this package; its errors name what is done, not its text.

        Returns:
            What became of it, whatever its exit status.

        Raises:
            PreconditionFailed: it found no cluster, or no postmaster, and needs one.
            HostUnreachable, HostKeyUnknown, HostKeyChanged, LoginRefused: nothing
                was run.
            CommandTimedOut, OutcomeUnknown, OperationCancelled: it may have been run.
        """
        done = self._run(argv, words, timeout, stdin=stdin, cancel=cancel)
        if done.status in _NOT_AS_NEEDED:
            raise PreconditionFailed(
                f"{self.ref.data_directory} on {self.host} "
                f"{_NOT_AS_NEEDED[done.status]}.",
                host=self.host,
                command=words,
                status=done.status,
                output=done.stderr,
            )
        return done

    def command(self, name: str) -> str:
        """Give one of the ``COMMANDS`` as it is run on this cluster.

        Raises:
            TemplateProblem: the template asks for something that is not known.
            ElephaasError: the version has to be looked up, and nothing is known.
        """
        if not self.ref.version:
            self.ref = replace(self.ref, version=self.look().version)
        return self._templates.render(name, self.ref)

    def act(self, name: str, *, need_running: bool = False) -> Acted:
        """Run one of the ``COMMANDS`` and see what is true afterwards.

        Args:
            name: the key, such as ``"stop"``.
            need_running: run it only if a postmaster lives.

        Returns:
            The command with its exit status, whatever that is: the observation
            beside it tells whether it did what it is for.

        Raises:
            TemplateProblem: the template asks for something that is not known.
            HostUnreachable, HostKeyUnknown, HostKeyChanged, LoginRefused: nothing
                was run.
            CommandTimedOut, OutcomeUnknown: it may have been run.
        """
        acted = self._try(name, need_running=need_running)
        if acted is None:
            # Somebody upgraded the cluster since: fill the template anew.
            acted = self._try(name, need_running=need_running)
        if acted is None:
            raise OutcomeUnknown(self.host, name, "the cluster's version changes")
        return acted

    def _try(self, name: str, *, need_running: bool) -> Acted | None:
        command = self.command(name)
        mark = new_mark()
        argv = look_argv(
            self.ref,
            mark,
            command=command,
            need_running=need_running,
            written_for=_major(self.ref.version),
            question=_ASKED_AFTER.get(name, WHOLE),
        )
        done = self._run(argv, command, self._command_timeout)
        output, fields = split_output(done.stdout, mark)
        if not fields:
            raise OutcomeUnknown(
                self.host, command, "its result did not come back", done.stderr
            )
        seen = read_observation(fields, self._clock.now())
        if fields["status"] == "other-version":
            self.ref = replace(self.ref, version=seen.version)
            return None
        return Acted(
            command=command,
            status=int(fields["status"]) if fields["status"].isdigit() else None,
            stdout=output.strip("\n"),
            stderr=done.stderr.strip("\n"),
            seconds=done.seconds,
            seen=seen,
        )

    def _run(
        self,
        argv: list[str],
        words: str,
        timeout: float,
        *,
        stdin: bytes | None = None,
        cancel: threading.Event | None = None,
    ) -> Completed:
        """Run a look; errors name the command inside it, not the look's script."""
        try:
            return self._shell.run(
                argv, ok=None, timeout=timeout, stdin=stdin, cancel=cancel
            )
        except CommandTimedOut as late:
            raise CommandTimedOut(
                self.host, words, late.seconds, late.output, stopped=late.stopped
            ) from late
        except OutcomeUnknown as lost:
            raise OutcomeUnknown(self.host, words, lost.reason, lost.output) from lost
        except OperationCancelled as asked:
            raise OperationCancelled.of_command(
                self.host, words, asked.output, stopped=asked.stopped
            ) from asked


def _major(version: str) -> str:
    """Give what the file PG_VERSION holds: ``15``, and ``9.6`` before 10."""
    parts = version_parts(version)
    return ".".join(parts[:2] if parts[:1] in (["8"], ["9"]) else parts[:1])
