"""A PostgreSQL server of one's own in a directory, for the tests and the demo.

It needs nothing but the standard library and PostgreSQL's own programs, touches no
other server of the machine, and never runs as root: root hands it to ``postgres``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .proc import children_of, is_alive, runs_in

SOCKET_PATH_LIMIT = 107
"""Bytes of a socket's path (unix(7)), the terminating zero not counted."""

_POLL = 0.02


class ServerFailed(Exception):
    """A private server could not be made, started or stopped; says why."""


def newest_binaries(roots: Sequence[str] = ("/usr/lib/postgresql",)) -> Path:
    """Return the directory of PostgreSQL's programs with the highest major version.

    Looks below ``roots`` as Debian lays them out, then beside ``postgres`` in PATH.

    Raises:
        ServerFailed: when PostgreSQL is not installed, with the command to install it.
    """
    found = [
        (int(bin_.parent.name), bin_)
        for root in roots
        for bin_ in Path(root).glob("*/bin")
        if bin_.parent.name.isdigit() and (bin_ / "postgres").exists()
    ]
    if found:
        return max(found)[1]
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    raise ServerFailed(
        "No PostgreSQL server is installed here. Install it with: "
        "apt-get install postgresql"
    )


class PrivateServer:
    """One PostgreSQL server whose data, socket and log lie in one directory.

    Args:
        directory: where everything lies; made if missing. Its path has to be short,
            because the socket's path lies inside.
        port: names the socket, and is listened on where ``listen`` says so.
        listen: addresses for TCP connections, separated by commas; none by default.
            TCP logins need ``password``; logins through the socket need none, so the
            directory is open to its owner and root only unless ``shared``.
        allow: networks in CIDR notation that may log in over TCP besides loopback.
        shared: lets every user of this machine use the socket.
        password: of the superuser ``postgres``.
        durable: False loses data in a crash and is several times faster.
        options: further settings of postgresql.conf.
        dies_with_parent: the server is stopped when the thread that started it ends,
            however it ends (prctl(2), PR_SET_PDEATHSIG).
        user: the operating system user that runs it; by default ``postgres`` when
            started by root, else oneself.
        binaries: the directory of PostgreSQL's programs; by default the newest.
    """

    superuser = "postgres"

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 5432,
        listen: str = "",
        allow: Sequence[str] = (),
        shared: bool = False,
        password: str = "",
        durable: bool = True,
        options: Mapping[str, str] | None = None,
        dies_with_parent: bool = False,
        user: str | None = None,
        binaries: Path | None = None,
    ) -> None:
        self.directory = Path(directory).absolute()
        self.port = port
        self.listen = listen
        self.allow = tuple(allow)
        self.shared = shared
        self.password = password
        self.durable = durable
        self.options = dict(options or {})
        self.dies_with_parent = dies_with_parent
        self.user = user or ("postgres" if os.geteuid() == 0 else None)
        self.binaries = binaries or newest_binaries()
        self._process: subprocess.Popen[bytes] | None = None
        if listen and not password:
            raise ServerFailed("A private server that listens on TCP needs a password.")
        if len(os.fsencode(self._socket)) > SOCKET_PATH_LIMIT:
            raise ServerFailed(
                f"The path of the socket {self._socket} is longer than "
                f"{SOCKET_PATH_LIMIT} bytes. Choose a directory with a shorter path."
            )

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """The file the server's messages go to."""
        return self.directory / "server.log"

    @property
    def _socket(self) -> Path:
        return self.directory / f".s.PGSQL.{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead psql and every other libpq client to this server."""
        found = {
            "PGHOST": str(self.directory),
            "PGPORT": str(self.port),
            "PGUSER": self.superuser,
        }
        if self.password:
            found["PGPASSWORD"] = self.password
        return found

    def create(self) -> None:
        """Make the data directory, unless it is there already.

        Raises:
            ServerFailed: when initdb fails, with what it said.
        """
        self._make_directory()
        if (self.data / "PG_VERSION").exists():
            return
        command = [
            *("initdb", f"--pgdata={self.data}", f"--username={self.superuser}"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"),
            *("--auth-local=trust", "--auth-host=scram-sha-256"),
        ]
        if not self.durable:
            command.append("--no-sync")
        if not self.password:
            self._run(command)
            return
        secret = self.directory / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        self._give(secret)
        try:
            self._run([*command, f"--pwfile={secret}"])
        finally:
            secret.unlink()

    def start(self, timeout: float = 60.0) -> None:
        """Start the server, unless it runs, and wait until it accepts connections.

        Args:
            timeout: seconds until giving up; recovery after a crash counts.

        Raises:
            ServerFailed: when it does not accept connections by then, with the end of
                its log.
        """
        self.create()
        if not self.is_running():
            self._write_configuration()
            if self.dies_with_parent:
                self._start_as_child()
            else:
                self._start_as_daemon(timeout)
        self.wait_until_accepting(timeout)

    def stop(self, mode: str = "fast", timeout: float = 60.0) -> None:
        """Stop the server, unless it is down, and wait until it is.

        Args:
            mode: ``smart``, ``fast`` or ``immediate``, as of pg_ctl.
            timeout: seconds until giving up.

        Raises:
            ServerFailed: when it still runs by then.
        """
        if self.is_running():
            self._run(
                [
                    *("pg_ctl", "stop", f"--pgdata={self.data}", f"--mode={mode}"),
                    *("--wait", f"--timeout={timeout:.0f}", "--silent"),
                ]
            )
        self._reap()

    def restart(self, timeout: float = 60.0) -> None:
        """Stop the server (fast) and start it again."""
        self.stop(timeout=timeout)
        self.start(timeout=timeout)

    def kill(self, timeout: float = 60.0) -> None:
        """End the server as a crash would, and wait until all its processes are gone.

        Raises:
            ServerFailed: when it is not running, or something of it outlives
                ``timeout`` seconds.
        """
        postmaster = self.pid()
        if postmaster is None:
            raise ServerFailed(f"No server runs in {self.directory}.")
        family = [postmaster, *children_of(postmaster)]
        os.kill(postmaster, signal.SIGKILL)
        self._reap()
        _wait(
            lambda: not any(is_alive(pid) for pid in family),
            timeout,
            f"Processes of the server in {self.directory} outlive its kill.",
        )
        # To the next postmaster, one that its parent has not yet collected is alive.
        for lock in (self.data / "postmaster.pid", Path(f"{self._socket}.lock")):
            lock.unlink(missing_ok=True)

    def destroy(self) -> None:
        """Stop the server and remove its directory with everything in it."""
        if self.data.exists():
            self.stop(mode="immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def pid(self) -> int | None:
        """Return the postmaster's process number, or None when it is not running."""
        try:
            first = (self.data / "postmaster.pid").read_text().split("\n", 1)[0]
        except FileNotFoundError:
            return None
        # A stale file may name a process that is another one by now.
        number = int(first) if first.isdigit() else 0
        return number if number and runs_in(number, self.data) else None

    def is_running(self) -> bool:
        """Tell whether the postmaster runs; it need not accept connections yet."""
        return self.pid() is not None

    def is_accepting(self) -> bool:
        """Tell whether the server accepts connections (pg_isready)."""
        status = subprocess.run(
            [
                *(str(self.binaries / "pg_isready"), "--quiet"),
                *(f"--host={self.directory}", f"--port={self.port}"),
                f"--username={self.superuser}",
            ],
            check=False,
        ).returncode
        return status == 0

    def wait_until_accepting(self, timeout: float = 60.0) -> None:
        """Return as soon as the server accepts connections.

        Raises:
            ServerFailed: when it ends, or does not accept any within ``timeout``
                seconds, with the end of its log.
        """

        def accepting() -> bool:
            if self._process is not None and self._process.poll() is not None:
                raise self._not_started()
            return self.is_accepting()

        _wait(
            accepting,
            timeout,
            f"The server in {self.directory} does not accept connections.",
        )

    def psql(self, sql: str, database: str = "postgres") -> str:
        """Run SQL as the superuser and return what it prints, unaligned, no headers.

        Raises:
            ServerFailed: when a statement fails, with what psql said.
        """
        return self._run(
            [
                *("psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only"),
                *("--set=ON_ERROR_STOP=1", f"--dbname={database}"),
            ],
            stdin=sql,
        ).rstrip("\n")

    def _start_as_child(self) -> None:
        """Start the postmaster as a child that is told when this thread ends."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._as_user(["postgres", "-D", str(self.data)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,
            )

    def _start_as_daemon(self, timeout: float) -> None:
        """Start the postmaster so that it outlives this process."""
        try:
            self._run(
                [
                    *("pg_ctl", "start", f"--pgdata={self.data}", f"--log={self.log}"),
                    *("--wait", f"--timeout={timeout:.0f}", "--silent"),
                ]
            )
        except ServerFailed as failure:
            raise self._not_started() from failure

    def _not_started(self) -> ServerFailed:
        lines = self.log.read_text(errors="replace").splitlines()
        return ServerFailed(
            f"The server in {self.directory} did not start. "
            f"Its log ends with: {' / '.join(lines[-5:]) or '(nothing)'}"
        )

    def _make_directory(self) -> None:
        """Make the directory, closed to other users unless ``shared``."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755 if self.shared else 0o700)
        self._give(self.directory)
        self.log.touch(mode=0o600)
        self._give(self.log)

    def _give(self, path: Path) -> None:
        """Hand a file to the user who runs the server."""
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(path, account.pw_uid, account.pw_gid)

    def _write_configuration(self) -> None:
        """Write the settings of this object over those of an earlier start."""
        settings = {
            "listen_addresses": self.listen,
            "port": str(self.port),
            "unix_socket_directories": f'"{self.directory}"',
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if not self.durable:
            settings |= {
                "fsync": "off",
                "synchronous_commit": "off",
                "full_page_writes": "off",
            }
        settings |= self.options
        self._replace(
            self.data / "postgresql.auto.conf",
            "".join(f"{name} = {_quoted(value)}\n" for name, value in settings.items()),
        )
        self._replace(
            self.data / "pg_hba.conf",
            "local all all trust\n"
            "host all all 127.0.0.1/32 scram-sha-256\n"
            "host all all ::1/128 scram-sha-256\n"
            + "".join(
                f"host all all {network} scram-sha-256\n" for network in self.allow
            ),
        )

    def _replace(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)
        self._give(path)

    def _as_user(self, command: Sequence[str]) -> list[str]:
        """Return a command of PostgreSQL as run by the server's own user."""
        prefix = ["setpriv"]
        if self.user:
            account = pwd.getpwnam(self.user)
            prefix += [
                f"--reuid={account.pw_uid}",
                f"--regid={account.pw_gid}",
                "--init-groups",
            ]
        if self.dies_with_parent and command[0] == "postgres":
            prefix.append("--pdeathsig=INT")
        return [*prefix, str(self.binaries / command[0]), *command[1:]]

    def _run(self, command: Sequence[str], stdin: str = "") -> str:
        """Run one of PostgreSQL's programs as the server's user and return its output.

        Raises:
            ServerFailed: when it fails, with what it said.
        """
        done = subprocess.run(
            self._as_user(command),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env={"PATH": os.environ.get("PATH", os.defpath), **self.environment},
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise ServerFailed(
                f"{command[0]} ended with exit status {done.returncode} "
                f"in {self.directory}: {said}"
            )
        return done.stdout

    def _reap(self) -> None:
        """Collect the ended postmaster, where it is a child of this process."""
        if self._process is not None:
            self._process.wait()
            self._process = None


def _quoted(value: str) -> str:
    """Return a value as postgresql.conf wants it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _wait(condition: Callable[[], bool], timeout: float, failure: str) -> None:
    """Return as soon as ``condition`` is true.

    Raises:
        ServerFailed: with ``failure`` after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ServerFailed(f"{failure} Waited {timeout:g} s.")
        time.sleep(_POLL)
