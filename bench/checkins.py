"""Check-ins of agents through their function, beside pgbench on the same server.

Two kinds are measured: heartbeats, as agents send them, of which those that come within
a second of the last one are not written; and changes, each of which is written.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Ratio, Report, Spread
from bench.installation import PROJECT
from lab.private_server import PrivateServer

FIGURE = "Check-ins on 10,000 instances"
CHANGES = "sp_instance_checkin, changes"
HEARTBEATS = "sp_instance_checkin, heartbeats"
ORIGINAL = "the original's function"
PGBENCH = "pgbench -N"
WANTED = 0.5

CLIENTS = 8
SECONDS = 10
HERDS = 1000
MEMBERS = 10
SCALE = 10
"""Of pgbench's own tables: a million accounts."""

_SQL = Path(__file__).with_name("checkins.sql")

_SETTINGS = """\
SECRET_KEY = "bench"
DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "admin",
        "HOST": {directory!r},
        "USER": "postgres",
        "OPTIONS": {{"options": "-c search_path=utility"}},
    }}
}}
"""

_CHECKIN = f"""\
\\set herd random(0, {HERDS - 1})
\\set member random(0, {MEMBERS - 1})
\\set host (:herd + :member * 97) % {HERDS}
\\set port 6000 + :herd
\\set position random(1, 1000000000)
\\set timeline random(1, 1000000000)
SELECT {{function}}(
    sHerd => 'herd:herd', sHost => 'ele:host', nPort => :port, sVer => '15.18',
    bOnline => true, sDataDir => '/var/lib/postgresql/15/herd:herd',
    sMasterHost => CASE :member WHEN 0 THEN '' ELSE 'ele:herd' END,
    nXlog => :position{{more}});
"""

SCRIPTS = {
    CHANGES: _CHECKIN.format(
        function="utility.sp_instance_checkin", more=", nTimeline => :timeline"
    ),
    HEARTBEATS: _CHECKIN.format(function="utility.sp_instance_checkin", more=""),
    ORIGINAL: _CHECKIN.format(function="original.sp_instance_checkin", more=""),
}


def measure(report: Report, *, rounds: int) -> None:
    """Add the transactions per second of every contender to the report, in turns."""
    spreads = {
        name: Spread(name=name, figure=FIGURE, unit="tps")
        for name in (*SCRIPTS, PGBENCH)
    }
    with _server() as server:
        _fill(server)
        for turn in range(rounds):
            for name, spread in spreads.items():
                report.note_load()
                tps = _pgbench(server, name)
                spread.values.append(tps)
                print(f"  {turn + 1}. {name}: {tps:.0f} tps", flush=True)
    report.spreads += spreads.values()
    report.ratios += [
        Ratio(
            figure=FIGURE,
            ours=PGBENCH,
            theirs=name,
            wanted=None if name == ORIGINAL else WANTED,
        )
        for name in SCRIPTS
    ]


@contextmanager
def _server() -> Iterator[PrivateServer]:
    directory = Path(tempfile.mkdtemp(prefix="elephaas-checkins-"))
    server = PrivateServer(directory, dies_with_parent=True)
    try:
        server.start()
        yield server
    finally:
        server.destroy()
        shutil.rmtree(directory, ignore_errors=True)


def _fill(server: PrivateServer) -> None:
    """Make the tables, 10,000 instances in 1,000 herds, and pgbench's own tables."""
    _run(server, ["createdb", "admin"])
    settings = server.directory / "settings.py"
    settings.write_text(_SETTINGS.format(directory=str(server.directory)))
    _run(
        server,
        [sys.executable, "manage.py", "migrate", "--verbosity", "0", "--skip-checks"],
        ELEPHAAS_SETTINGS_FILE=str(settings),
    )
    _run(
        server,
        [
            *("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
            *(f"--set=herds={HERDS}", f"--set=members={MEMBERS}"),
            *(f"--file={_SQL}", "admin"),
        ],
    )
    _run(server, ["pgbench", "--initialize", "--quiet", f"--scale={SCALE}", "admin"])


def _pgbench(server: PrivateServer, name: str) -> float:
    """Run one contender for a while; give its transactions per second."""
    common = [f"--client={CLIENTS}", "--jobs=2", f"--time={SECONDS}", "admin"]
    if name == PGBENCH:
        said = _run(server, ["pgbench", "--skip-some-updates", *common])
    else:
        script = server.directory / "checkin.sql"
        script.write_text(SCRIPTS[name])
        said = _run(
            server,
            ["pgbench", "--no-vacuum", f"--file={script}", *common],
            PGUSER="bench_agent",
        )
    found = re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)
    failed = re.search(r"number of failed transactions: (\d+)", said)
    if found is None or (failed and failed[1] != "0"):
        raise RuntimeError(f"pgbench did not measure {name}: {said}")
    return float(found[1])


def _run(server: PrivateServer, argv: Sequence[str], **environment: str) -> str:
    program = server.binaries / argv[0]
    done = subprocess.run(
        [str(program) if program.exists() else argv[0], *argv[1:]],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        | server.environment
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed: {done.stdout[-2000:]}")
    return done.stdout
