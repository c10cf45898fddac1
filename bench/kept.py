"""The kept SSH connections alone: what the operations engine stands on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from bench.figures import Run, timed
from bench.fleet import Fleet, Job
from herds.ssh.pool import ShellPool

THREADS = 32


class KeptConnections:
    """Runs jobs over one ShellPool, from threads on the control host's network."""

    def __init__(self, fleet: Fleet, jobs: list[Job]) -> None:
        self._fleet = fleet
        self._jobs = jobs
        self._keys = fleet.host_keys()

    def cold(self) -> Run:
        """Run every job once, from no connection to all."""
        with self._fleet.lab.inside("control"), self._pool() as pool:
            return timed(time.process_time, lambda: self._run_all(pool))

    def warm(self, rounds: int) -> list[Run]:
        """Run every job ``rounds`` times over connections that are there."""
        with self._fleet.lab.inside("control"), self._pool() as pool:
            failed = pool.warm(self._keys.items())
            if failed:
                raise RuntimeError(f"Not connected: {failed}")
            return [
                timed(time.process_time, lambda: self._run_all(pool))
                for _ in range(rounds)
            ]

    def _pool(self) -> ShellPool:
        key = self._fleet.lab.ssh_key
        return ShellPool(user="postgres", private_key_file=key, connect_timeout=30)

    def _run_all(self, pool: ShellPool) -> None:
        def run(job: Job) -> None:
            pool.shell(job.host, self._keys[job.host]).run(job.argv)

        with ThreadPoolExecutor(THREADS) as executor:
            list(executor.map(run, self._jobs))
