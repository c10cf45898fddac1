"""Look at every host of the fleet: a round against pssh on open connections."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Comparison, Report, Run, Series, timed
from bench.fleet import Fleet, Job
from bench.peers import AT_ONCE, children_cpu
from lab.clusters import program

ROUND = "ElepHaaS, a round of all instances"
PSSH = f"pssh -p {AT_ONCE}, one psql a host, connections open"
WANTED = 1 / 1.5
"""A round may take half as long again as the others' one question."""

_QUESTION = (
    "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery()"
    " THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END"
)


def measure(fleet: Fleet, report: Report, *, rounds: int) -> None:
    """Add the runs of both to the report, taken in turn.

    Both have a connection to every host. ElepHaaS looks at all instances of each and
    records what it saw; pssh asks one instance of each two things.
    """
    ours, theirs = Series(name=ROUND), Series(name=PSSH)
    with _elephaas(fleet) as go_round, _pssh(fleet) as ask:
        # The first of either finds files and programs that are not in memory yet.
        go_round(), ask()
        for _ in range(rounds):
            report.note_load()
            ours.runs.append(go_round())
            theirs.runs.append(ask())
    print(f"  {ours.name}: {ours.wall:.2f} s; {theirs.name}: {theirs.wall:.2f} s")
    report.series += [ours, theirs]
    report.comparisons.append(Comparison(ours=ROUND, theirs=PSSH, wanted=WANTED))


@contextmanager
def _elephaas(fleet: Fleet) -> Iterator[Callable[[], Run]]:
    """Give what goes one round, as a worker does, from the control host's network."""
    from django.test import override_settings

    from herds.domain.clock import ToldClock
    from herds.models import HostRefresh, Instance
    from herds.operations.refresher import Refresher
    from herds.selectors.clock import metadata_now
    from herds.services import rounds
    from herds.services.toolbox import Toolbox

    clock = ToldClock(metadata_now)
    toolbox = Toolbox(clock)
    with override_settings(REFRESH={"INTERVAL": 3600.0, "NAMES_INTERVAL": 0}):
        refresher = Refresher(toolbox, clock, threading.Event())
    rounds.enter_hosts()

    def go_round() -> Run:
        HostRefresh.objects.update(due_at=metadata_now(), is_slow=False)
        since = metadata_now()
        with fleet.lab.inside("control"):
            run = timed(time.process_time, refresher.go_round)
        unseen = Instance.objects.exclude(observed_at__gte=since)
        first = unseen.first()
        if first is not None:
            raise RuntimeError(
                f"{unseen.count()} instances were not seen; {first}: "
                f"{first.unreachable_why or first.observed_at}."
            )
        return run

    try:
        yield go_round
    finally:
        refresher.close()
        toolbox.close()


@contextmanager
def _pssh(fleet: Fleet) -> Iterator[Callable[[], Run]]:
    """Give what asks every host once by parallel-ssh, on connections that are open."""
    if not shutil.which("parallel-ssh"):
        raise RuntimeError("parallel-ssh not found. Install: apt-get install pssh")
    jobs = list({job.host: job for job in fleet.jobs(plain=False)}.values())
    control = fleet.lab.control
    # Short, because a socket's path is.
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    config = _configure(fleet, jobs, directory)
    masters = [
        subprocess.Popen(control.command(["ssh", "-F", str(config), "-MN", job.host]))
        for job in jobs
    ]
    argv = [
        *("parallel-ssh", "--par", str(AT_ONCE), "--timeout", "300"),
        *("--hosts", str(directory / "names"), "--extra-args", f"-F {config}"),
        "eval $LC_ELEPHAAS_JOB",
    ]
    command = control.command(argv)

    def ask() -> Run:
        printed = ""

        def work() -> None:
            nonlocal printed
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            printed = done.stdout + done.stderr

        run = timed(children_cpu, work)
        if printed.count("[SUCCESS]") != len(jobs):
            raise RuntimeError(f"Not all hosts answered:\n{printed[-2000:]}")
        return run

    try:
        _await_sockets(directory, len(jobs))
        yield ask
    finally:
        for master in masters:
            master.terminate()
        for master in masters:
            master.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _await_sockets(directory: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(list(directory.glob("s-*"))) < count:
        if time.monotonic() > deadline:
            raise RuntimeError("ssh did not connect to every host.")
        time.sleep(0.2)


def _configure(fleet: Fleet, jobs: Sequence[Job], directory: Path) -> Path:
    """Write what ssh has to know, each host's question among it."""
    keys = fleet.host_keys()
    (directory / "known_hosts").write_text(
        "".join(f"{host} {key}\n" for host, key in keys.items())
    )
    (directory / "names").write_text("".join(f"{job.host}\n" for job in jobs))
    lines = []
    for job in jobs:
        spec = fleet.lab.herds[job.cluster]
        question = [program(spec, "psql"), "-XAtq", "-h", "/var/run/postgresql"]
        question += ["-p", str(spec.port), "-d", "postgres", "-c", _QUESTION]
        line = shlex.join(question).replace('"', '\\"')
        lines += [f"Host {job.host}", f'  SetEnv LC_ELEPHAAS_JOB="{line}"']
    lines += [
        "Host *",
        "  User postgres",
        f"  IdentityFile {fleet.lab.ssh_key}",
        "  IdentitiesOnly yes",
        "  BatchMode yes",
        "  StrictHostKeyChecking yes",
        f"  UserKnownHostsFile {directory}/known_hosts",
        f"  ControlPath {directory}/s-%h",
        "  LogLevel ERROR",
    ]
    config = directory / "config"
    config.write_text("\n".join(lines) + "\n")
    return config
