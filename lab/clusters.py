"""Makes PostgreSQL clusters: one template, one identity a herd, one copy a member."""

import re
import secrets
import shlex
import subprocess
from pathlib import Path

from lab import identity, majors
from lab.accounts import account
from lab.errors import LabError
from lab.files import directory, write
from lab.layout import DATA_PARENTS, HerdSpec
from lab.prerequisites import POSTGRES_ROOT, SEARCH_PATH
from lab.state import LabState

OWNER = "postgres"
REPLICATION_USER = "replication"
PASSWORD_FILE = "replication.password"

# What pg_rewind needs of a role that is not a superuser (its documentation, Notes).
_ROLE_SQL = """\
CREATE ROLE {user} LOGIN REPLICATION PASSWORD '{password}';
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean) TO {user};
GRANT EXECUTE ON FUNCTION pg_stat_file(text, boolean) TO {user};
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO {user};
GRANT EXECUTE ON FUNCTION pg_read_binary_file(text, bigint, bigint, boolean) TO {user};
"""

# Two hundred clusters share one machine: small memory, few background processes,
# and short retry intervals, so that what is broken heals while somebody looks on.
_SMALL = """\
listen_addresses = '*'
unix_socket_directories = '/var/run/postgresql'
shared_buffers = '16MB'
max_connections = 50
max_worker_processes = 2
max_logical_replication_workers = 0
max_wal_senders = 15
max_replication_slots = 15
wal_keep_size = '64MB'
wal_log_hints = on
min_wal_size = '4MB'
max_wal_size = '128MB'
autovacuum_naptime = '5min'
wal_retrieve_retry_interval = '500ms'
huge_pages = off
jit = off
ssl = off
timezone = 'Etc/UTC'
log_timezone = 'Etc/UTC'
log_line_prefix = '%m [%p] %q%u@%d '
"""

# As those packages have it: the log is kept by the server, in the data directory.
_RHEL = """\
logging_collector = on
log_filename = 'postgresql-%a.log'
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
"""

_HBA = """\
local all         postgres         peer
local all         all              peer
host  all         all  127.0.0.1/32 scram-sha-256
host  all         all  samenet     scram-sha-256
host  replication all  samenet     scram-sha-256
"""


def program(herd: HerdSpec, name: str) -> str:
    """Return the path of a server program on the hosts of a herd."""
    if herd.packaging == "rhel":
        return f"/usr/pgsql-{herd.version}/bin/{name}"
    return str(POSTGRES_ROOT / herd.version / "bin" / name)


def _as_postgres(argv: list[str], text: str = "") -> str:
    """Run a server program, which refuses to be root, and return what it prints."""
    owner = account(OWNER)
    done = subprocess.run(
        argv,
        input=text,
        capture_output=True,
        text=True,
        env={"LC_ALL": "C.UTF-8", "PATH": SEARCH_PATH},
        user=owner.pw_uid,
        group=owner.pw_gid,
        extra_groups=[],
        cwd="/",
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"{shlex.join(argv)} failed:\n{done.stderr.strip()}")
    return done.stdout


def new_password() -> str:
    """Return a password that needs no quoting anywhere."""
    return secrets.token_hex(16)


def make_template(state: LabState, version: str, password: str) -> Path:
    """Run initdb once and add the replication role; return the cold data directory."""
    template = directory(
        state.directory / f"template-{version}", mode=0o700, owner=OWNER
    )
    initdb = [majors.program(version, "initdb"), "--pgdata", str(template)]
    # Small segments halve a member's size, which is what limits a big lab.
    initdb += ["--no-sync", "--wal-segsize=1", "--encoding=UTF8", "--locale=C.UTF-8"]
    _as_postgres([*initdb, "--data-checksums", "--auth=peer", "--no-instructions"])
    # A standby refuses limits below those its primary last ran with.
    write(template / "postgresql.conf", _SMALL, mode=0o600, owner=OWNER)
    single = [majors.program(version, "postgres"), "--single", "-D", str(template)]
    sql = _ROLE_SQL.format(user=REPLICATION_USER, password=password)
    _as_postgres([*single, "postgres"], sql)
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf", "postmaster.opts"):
        (template / name).unlink(missing_ok=True)
    _drop_spare_wal(version, template)
    return template


def _drop_spare_wal(version: str, template: Path) -> None:
    """Delete the segments that were made in advance: a quarter of the template."""
    shown = _as_postgres([majors.program(version, "pg_controldata"), str(template)])
    needed = re.search(r"REDO WAL file: +(\w+)", shown)
    if needed is None:
        raise LabError(f"pg_controldata names no WAL file:\n{shown}")
    for segment in (template / "pg_wal").iterdir():
        if segment.is_file() and segment.name != needed[1]:
            segment.unlink()


def write_member(
    state: LabState, template: Path, herd: HerdSpec, identifier: int, host: str
) -> None:
    """Put one member's data and configuration on a host's disk.

    A copy of a cleanly stopped cluster with standby.signal is a valid standby.
    """
    parent = DATA_PARENTS[herd.packaging]
    disk = disk_of(state, host, parent)
    data = disk / herd.data_root.removeprefix(parent)
    _make_parents(data.parent, disk)
    subprocess.run(["cp", "-a", "-T", str(template), str(data)], check=True)
    identity.stamp(data, identifier)
    if host != herd.members[0]:
        write(data / "standby.signal", "", mode=0o600, owner=OWNER)
    if herd.packaging == "debian":
        _write_debian(state, herd, host)
    else:
        _write_plain(state, herd, host, data)


def disk_of(state: LabState, host: str, parent: str) -> Path:
    """Return where the machine keeps one of a host's DATA_PARENTS."""
    return state.disk(host) / Path(parent).name


def _make_parents(path: Path, stop: Path) -> None:
    if path != stop and not path.exists():
        _make_parents(path.parent, stop)
        directory(path, owner=OWNER)


def quote(value: str) -> str:
    """Return a value as a quoted postgresql.conf string."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def primary_conninfo(state: LabState, herd: HerdSpec, host: str) -> str:
    """Return the connection string by which a member follows its herd's name.

    tcp_user_timeout (milliseconds) bounds the hang on an address that died: the
    walreceiver of PostgreSQL 15 does not heed connect_timeout.
    """
    return (
        f"host={state.vhost(herd.name)} port={herd.port} user={REPLICATION_USER} "
        f"application_name={herd.name}_{host} tcp_user_timeout=3000"
    )


def _write_debian(state: LabState, herd: HerdSpec, host: str) -> None:
    """Write what pg_createcluster would have, so that Debian's tools see a cluster."""
    version = herd.version
    folder = directory(
        state.disk(host) / "etc/postgresql" / version / herd.name, owner=OWNER
    )
    directory(folder.parent, owner=OWNER)
    directory(folder.parent.parent, owner=OWNER)
    directory(folder / "conf.d", owner=OWNER)
    inside = f"/etc/postgresql/{version}/{herd.name}"
    main = {
        "data_directory": herd.data_root,
        "hba_file": f"{inside}/pg_hba.conf",
        "ident_file": f"{inside}/pg_ident.conf",
        "external_pid_file": f"/var/run/postgresql/{version}-{herd.name}.pid",
        "cluster_name": f"{version}/{herd.name}",
    }
    text = "".join(f"{name} = {quote(value)}\n" for name, value in main.items())
    text += f"port = {herd.port}\n{_SMALL}include_dir = 'conf.d'\n"
    for name, content in {
        "postgresql.conf": text,
        "conf.d/replication.conf": _replication(state, herd, host),
        "pg_hba.conf": _HBA,
        "pg_ident.conf": "",
        "start.conf": "auto\n",
        "pg_ctl.conf": "pg_ctl_options = ''\n",
        "environment": "",
    }.items():
        write(folder / name, content, owner=OWNER)
    log = state.disk(host) / f"log/postgresql-{version}-{herd.name}.log"
    write(log, "", mode=0o640, owner=OWNER)


def _write_plain(state: LabState, herd: HerdSpec, host: str, data: Path) -> None:
    """Keep everything in the data directory, and start it from rc.local at boot."""
    text = f"cluster_name = {quote(herd.name)}\nport = {herd.port}\n{_SMALL}"
    if herd.packaging == "rhel":
        text += _RHEL
    for name, content in {
        "postgresql.conf": text,
        "postgresql.auto.conf": _replication(state, herd, host),
        "pg_hba.conf": _HBA,
        "pg_ident.conf": "",
    }.items():
        write(data / name, content, mode=0o600, owner=OWNER)
    script = state.disk(host) / "etc/rc.local"
    lines = script.read_text() if script.exists() else "#!/bin/sh\n"
    command = [program(herd, "pg_ctl"), "start", "--no-wait", "--silent"]
    command += ["--pgdata", herd.data_root]
    command += ["--log", f"/var/log/postgresql/{herd.name}.log"]
    lines += f"runuser -u {OWNER} -- {shlex.join(command)}\n"
    write(script, lines, mode=0o755)


def _replication(state: LabState, herd: HerdSpec, host: str) -> str:
    return f"primary_conninfo = {quote(primary_conninfo(state, herd, host))}\n"


def write_passwords(home: Path, password: str, further: str = "") -> None:
    """Let postgres connect as the replication user without being asked (pgpass).

    ``further`` are lines for other databases.
    """
    line = f"*:*:*:{REPLICATION_USER}:{password}\n"
    write(home / ".pgpass", line + further, mode=0o600, owner=OWNER)
