"""Becomes a host: mounts its own view of the machine, then starts its services.

Runs as the first process of new mount, UTS, IPC, PID and network namespaces, and is at
last replaced by a small shell that does nothing but wait for its children.
"""

import os
import random
import shlex
import subprocess
from pathlib import Path

from lab import agents, majors, syscalls
from lab.accounts import account
from lab.layout import CONTROL, DATA_PARENTS, DNS, HerdSpec
from lab.prerequisites import POSTGRES_ROOT
from lab.processes import MARKER, TITLE
from lab.state import LabState

_CHECKOUT = Path(__file__).resolve().parent.parent
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# bash reaps whatever is handed to process 1 while it waits for its own child.
_WAIT = "while :; do sleep 2147483647; done"


def become_host(state: LabState, host: str) -> None:
    """Set the host up and start its services; the caller is process 1 of the host."""
    _mount_own_view(state, host)
    syscalls.sethostname(host)
    _begin_anywhere()
    # Without IPv6 no host sends multicasts for its own sake.
    Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    if host == CONTROL:
        return
    _make_run_directories()
    _start(["/usr/sbin/sshd"])
    if host == DNS:
        _start(["/usr/sbin/named", "-4", "-n", "1", "-u", "bind"])
    _start_clusters(state)


def _begin_anywhere() -> None:
    """Let process numbers begin at random.

    They would otherwise repeat from boot to boot, so that a postmaster finds in its old
    lock file the number of another one that is alive, and refuses to start.
    """
    first = random.randrange(1000, 30000)
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(first))


def wait_for_ever(state: LabState, host: str) -> None:
    """Replace the calling process by the host's idle first process."""
    title = f"{TITLE} {state.name} {host}"
    environment = {"PATH": _PATH, MARKER: state.marker, "LANG": "C.UTF-8"}
    os.execve("/bin/bash", [title, "-c", _WAIT], environment)


def _mount_own_view(state: LabState, host: str) -> None:
    disk = state.disk(host)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    writable = ["/etc"]
    syscalls.mount(
        "overlay",
        "/etc",
        "overlay",
        options=f"lowerdir={state.directory}/etc,upperdir={disk}/etc,"
        f"workdir={disk}/etc-work",
    )
    strict = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    if host not in (CONTROL, DNS):
        _lay_programs_over(state, host)
    if host != CONTROL:
        writable += _bind_own_directories(state, host)
        for target, mode in (("/run", "755"), ("/dev/shm", "1777")):
            options = f"mode={mode}"
            syscalls.mount("tmpfs", target, "tmpfs", syscalls.MS_NOSUID, options)
            writable.append(target)
        # The rest of the machine can be looked at, and not be damaged from a host.
        syscalls.set_read_only("/", True, recursive=True)
        for target in writable:
            syscalls.set_read_only(target, False)
    options = "newinstance,ptmxmode=0666,mode=620,gid=5"
    syscalls.mount("devpts", "/dev/pts", "devpts", syscalls.MS_NOSUID, options)
    syscalls.mount("proc", "/proc", "proc", strict)
    syscalls.mount("sysfs", "/sys", "sysfs", strict | syscalls.MS_RDONLY)


def _lay_programs_over(state: LabState, host: str) -> None:
    """Let the host have the agent and what its herds need of other majors, to read."""
    herds = state.kinds_on(host)
    over = {"/usr": [agents.layer(state), *majors.layers(herds)]}
    if _data_parents(herds) - {DATA_PARENTS["debian"]}:
        over["/var/lib"] = [state.mount_points]
    for target, layers in over.items():
        options = f"lowerdir={':'.join(map(str, layers))}:{target}"
        syscalls.mount("overlay", target, "overlay", syscalls.MS_RDONLY, options)
    if {herd.packaging for herd in herds} == {"rhel"}:
        # No such host has Debian's programs, which would be found first.
        syscalls.mount("tmpfs", str(POSTGRES_ROOT), "tmpfs", options="mode=755")


def _data_parents(herds: list[HerdSpec]) -> set[str]:
    return {DATA_PARENTS[herd.packaging] for herd in herds} | {DATA_PARENTS["debian"]}


def _bind_own_directories(state: LabState, host: str) -> list[str]:
    targets = {"tmp": "/tmp", "log": "/var/log/postgresql"}
    if host == DNS:
        targets |= {"bind": "/var/lib/bind", "bind-cache": "/var/cache/bind"}
    else:
        for parent in _data_parents(state.kinds_on(host)):
            targets[Path(parent).name] = parent
    # A checkout below /tmp would be hidden by the host's own /tmp; it is what workers
    # on the host run, so it is put back, to be read only as all of the machine.
    hidden = any(_CHECKOUT.is_relative_to(target) for target in targets.values())
    checkout = os.open(_CHECKOUT, os.O_PATH | os.O_DIRECTORY) if hidden else -1
    for name, target in targets.items():
        syscalls.mount(str(state.disk(host) / name), target, flags=syscalls.MS_BIND)
    if hidden:
        _CHECKOUT.mkdir(parents=True, exist_ok=True)
        source = f"/proc/self/fd/{checkout}"
        syscalls.mount(source, str(_CHECKOUT), flags=syscalls.MS_BIND)
        os.close(checkout)
    return list(targets.values())


def _make_run_directories() -> None:
    """Make what packages make at boot (tmpfiles.d) for the services of a lab host."""
    for name, owner, mode in (
        ("sshd", "root", 0o755),
        ("lock", "root", 0o1777),
        ("named", "bind", 0o775),
        ("postgresql", "postgres", 0o2775),
    ):
        path = Path("/run") / name
        path.mkdir()
        entry = account(owner)
        os.chown(path, entry.pw_uid, entry.pw_gid)
        path.chmod(mode)


def _start(argv: list[str], user: str = "root") -> None:
    """Start a service that goes into the background; its words go to the console."""
    entry = account(user)
    done = subprocess.run(
        argv,
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=os.getgrouplist(user, entry.pw_gid),
        env={"PATH": _PATH, "HOME": entry.pw_dir, "LANG": "C.UTF-8"},
        cwd="/",
        check=False,
    )
    if done.returncode != 0:
        print(f"{shlex.join(argv)} ended with status {done.returncode}", flush=True)


def _start_clusters(state: LabState) -> None:
    """Start clusters whose start.conf says auto, and run rc.local, as at a boot.

    pg_ctl does what pg_ctlcluster would, without its two seconds of sleep.
    """
    root = Path("/etc/postgresql")
    for start in sorted(root.glob("*/*/start.conf")):
        words = [line.split("#")[0].strip() for line in start.read_text().splitlines()]
        if "auto" not in words:
            continue
        configuration = start.parent / "postgresql.conf"
        version, name = start.parts[-3:-1]
        option = f"-c config_file={shlex.quote(str(configuration))}"
        log = f"/var/log/postgresql/postgresql-{version}-{name}.log"
        pg_ctl = f"/usr/lib/postgresql/{version}/bin/pg_ctl"
        command = [pg_ctl, "start", "--no-wait", "--silent", "--log", log]
        command += ["--pgdata", _data_directory(configuration), "--options", option]
        _start(command, "postgres")
    if os.access("/etc/rc.local", os.X_OK):
        _start(["/etc/rc.local"])


def _data_directory(configuration: Path) -> str:
    """Return data_directory of a postgresql.conf, unquoted."""
    for line in configuration.read_text().splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "data_directory":
            return value.partition("\t#")[0].strip()[1:-1].replace("''", "'")
    return str(configuration.parent)
