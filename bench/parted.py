"""A herd of two with gigabytes of data, whose histories part again and again."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass

from bench.installation import wait_until
from lab import HerdSpec, Lab, LabError
from lab.clusters import program
from lab.state import LabState

_PAGE = 8192
_ROW = 1000  # bytes of a row's text
_ROWS_A_PAGE = 7
_SECONDS = 600.0

# Room is left in each page, so that a changed row stays in its page.
_FILL = """
CREATE TABLE filler (n int, changed int, pad text) WITH (fillfactor = 85);
ALTER TABLE filler ALTER pad SET STORAGE PLAIN;
INSERT INTO filler SELECT n, 0, rpad(md5(n::text), {row}, 'x')
  FROM generate_series(1, {rows}) n;
VACUUM (FREEZE, ANALYZE) filler;
CHECKPOINT;
"""
# Frozen: else the first look at a row changes its page, and all pages of both differ.

# One row in each hundredth (or so) page, another page every time.
_CHANGE = """
UPDATE filler SET changed = changed + {sign}
 WHERE n % {every} = {offset};
CHECKPOINT;
"""

_STREAMS = """
SELECT count(*) FROM pg_stat_wal_receiver
 WHERE status = 'streaming' AND received_tli = {timeline}
"""

_TIMELINE = "SELECT timeline_id FROM pg_control_checkpoint()"

# In one session, as the low-level backup wants it; psql itself starts the copy, over
# the hosts' own SSH.
_COPY_WHOLE_FILES = r"""
SELECT pg_backup_start('by hand', true);
\! {rsync}
SELECT labelfile FROM pg_backup_stop(false) \g {label}
\! {scp}
"""


@dataclass
class Pair:
    """A herd of two; ``new`` is its primary, ``old`` was, and wrote after the fork."""

    lab: Lab
    herd: HerdSpec
    new: str
    old: str
    rounds: int = 0

    def fill(self, megabytes: int) -> None:
        """Give both members a table of this size."""
        rows = megabytes * 1_000_000 // _PAGE * _ROWS_A_PAGE
        self.sql(self.new, _FILL.format(row=_ROW, rows=rows))
        self._caught_up()

    def part(self) -> None:
        """Promote the standby, have both write, and leave the old primary running.

        The new primary changes one page in a hundred, the old one one in five hundred.
        """
        self._caught_up()
        self.rounds += 1
        self.old, self.new = self.new, self.old
        self.sql(self.new, "SELECT pg_promote()")
        for host, share in ((self.new, 100), (self.old, 500)):
            every = share * _ROWS_A_PAGE
            offset = self.rounds * 37 * _ROWS_A_PAGE % every
            sign = 1 if host == self.new else 1000
            self.sql(host, _CHANGE.format(sign=sign, every=every, offset=offset))
        self._lead_name()

    def timeline(self) -> int:
        """Give the new primary's timeline."""
        return int(self.sql(self.new, _TIMELINE))

    def size(self) -> float:
        """Give the megabytes that the new primary's data has, without its WAL."""
        argv = ["du", "-sb", "--exclude=pg_wal", self.herd.data_root]
        return int(self.lab.exec(self.new, argv).stdout.split()[0]) / 1e6

    def await_streaming(self, timeline: int) -> None:
        """Return as soon as the old primary streams on a timeline."""
        query = _STREAMS.format(timeline=timeline)

        def streams() -> bool:
            try:
                return self.sql(self.old, query) == "1"
            except LabError:
                return False

        wait_until(streams, f"{self.old} streams", 120)

    def check(self) -> None:
        """See that both have the same rows, so that nothing measured was in vain."""
        self._caught_up()
        query = "SELECT sum(n::bigint * (1 + changed)), count(*) FROM filler"
        sums = {self.sql(host, query) for host in (self.new, self.old)}
        if len(sums) != 1:
            raise RuntimeError(f"Other rows on {self.old} than on {self.new}: {sums}")

    def received(self) -> int:
        """Give the bytes that the old primary's network card has received so far."""
        table = self.lab.exec(self.old, ["cat", "/proc/net/dev"]).stdout
        (line,) = [each for each in table.splitlines() if "eth0:" in each]
        return int(line.partition(":")[2].split()[0])

    # What somebody does by hand, on the old primary's host

    def base_backup(self) -> None:
        """Stop, empty, copy everything, start, and see it stream."""
        timeline = self.timeline()
        self._stop()
        self._shell(self.old, 'find "$1" -mindepth 1 -delete', self.herd.data_root)
        argv = [program(self.herd, "pg_basebackup"), "-D", self.herd.data_root]
        argv += ["-d", self._conninfo(), "-R", "-X", "stream", "-c", "fast", "-w"]
        self._run(self.old, argv)
        self._start()
        self.await_streaming(timeline)

    def whole_files(self) -> None:
        """Stop, copy every file that differs as a whole, start, and see it stream."""
        timeline, root = self.timeline(), self.herd.data_root
        self._stop()
        self._shell(self.old, 'find "$1/pg_wal" -type f -delete', root)
        address = f"{self.old}.{self.lab.domain}"
        rsync = ["rsync", "-aW", "--delete", "--modify-window=-1"]
        for name in ("/pg_wal/*", "/postmaster.*", "/pg_replslot/*", "/pg_stat_tmp/*"):
            rsync.append(f"--exclude={name}")
        label = "/tmp/backup_label"
        script = _COPY_WHOLE_FILES.format(
            rsync=shlex.join([*rsync, f"{root}/", f"{address}:{root}/"]),
            label=label,
            scp=shlex.join(["scp", "-q", label, f"{address}:{root}/backup_label"]),
        )
        self.psql(self.new, script)
        setting = "primary_conninfo = '" + self._conninfo() + "'\n"
        self._shell(
            self.old,
            'touch "$1/standby.signal"; printf %s "$2" >>"$1/postgresql.auto.conf"',
            *(root, setting),
        )
        self._start()
        self.await_streaming(timeline)

    # How the hosts are reached

    def sql(self, host: str, query: str) -> str:
        """Ask a member something that may take long."""
        return self.psql(host, query)

    def psql(self, host: str, script: str) -> str:
        """Have a member's psql run a script."""
        argv = [program(self.herd, "psql"), "-XAtqw", "-v", "ON_ERROR_STOP=1"]
        argv += ["-p", str(self.herd.port), "-d", "postgres"]
        return self._run(host, argv, script).strip()

    def _run(self, host: str, argv: list[str], text: str = "") -> str:
        done = self.lab.exec(host, argv, user="postgres", stdin=text, timeout=_SECONDS)
        return done.stdout

    def _shell(self, host: str, script: str, *values: str) -> None:
        self._run(host, ["sh", "-c", script, "sh", *values])

    def _control(self, *arguments: str) -> None:
        argv = [program(self.herd, "pg_ctl"), "-s", "-D", self.herd.data_root]
        self._run(self.old, [*argv, *arguments])

    def _stop(self) -> None:
        self._control("-m", "fast", "-w", "stop")

    def _start(self) -> None:
        self._control("-l", f"{self.herd.data_root}/startup.log", "-w", "start")

    def _conninfo(self) -> str:
        return (
            f"host={self.new}.{self.lab.domain} port={self.herd.port} user=replication"
            f" application_name={self.herd.name}_{self.old}"
        )

    def _lead_name(self) -> None:
        """Have the herd's name lead to the new primary."""
        state: LabState = self.lab.state
        name = f"{state.vhost(self.herd.name)}."
        commands = (
            f"server {state.hosts['dns'].address}\nzone {self.lab.domain}\n"
            f"update delete {name} CNAME\n"
            f"update add {name} 1 CNAME {self.new}.{self.lab.domain}.\nsend\n"
        )
        argv = ["nsupdate", "-k", str(self.lab.dns_key)]
        self.lab.exec("control", argv, stdin=commands)

    def _caught_up(self) -> None:
        position = self.sql(self.new, "SELECT pg_current_wal_lsn()")
        query = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        deadline = time.monotonic() + 120
        while self.sql(self.old, query) != "t":
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.old} does not catch up with {self.new}")
            time.sleep(0.05)
