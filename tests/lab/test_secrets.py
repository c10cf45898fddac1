"""Secrets stay where they are kept: in no command line, log or row of the metadata."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from tests.lab.metadata import MetadataServer
from tests.lab.product import ended
from tests.lab.switching import Moving, confirmed


class Watch:
    """Reads the command line of every process of the machine, of hosts of labs too."""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        self.found: set[str] = set()
        self.looks = 0
        self._secrets = secrets
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _look(self) -> None:
        while not self._stop.wait(0.005):
            for entry in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    line = (entry / "cmdline").read_bytes()
                    self.found |= {
                        f"{name} in {line!r}"
                        for name, secret in self._secrets.items()
                        if secret in line
                    }
            self.looks += 1


def secrets_of(herd: Moving) -> dict[str, bytes]:
    lab = herd.product.lab
    dns = lab.dns_key.read_text().split('secret "')[1].split('"')[0]
    login = lab.ssh_key.read_text().splitlines()
    return {
        "the DNS key": dns.encode(),
        "the role replication's password": lab.replication_password.encode(),
        "the SSH key": login[len(login) // 2].encode(),
    }


def test_no_secret_is_in_a_command_line_a_log_or_a_row(
    herd: Moving, product_metadata: MetadataServer
) -> None:
    _, candidate, third = herd.hosts_from_primary()
    secrets = secrets_of(herd)

    with Watch(secrets) as watch:
        moved = herd.move("switchover", candidate, old_primary="rejoin")
        herd.has_moved(moved, candidate)
        rebuilt = herd.plan("rebuild", third)
        copied = ended(confirmed(rebuilt, method="basebackup"))
        assert copied.targets.get().state == "succeeded"

    assert watch.looks > 20
    assert watch.found == set()
    written = {
        "the worker's log": (herd.product.directory / "worker.log").read_bytes(),
        "the metadata": _dump(product_metadata, herd.product.name),
    }
    assert b"COPY" in written["the metadata"]
    assert [
        f"{name} in {where}"
        for where, text in written.items()
        for name, secret in secrets.items()
        if secret in text
    ] == []


def _dump(server: MetadataServer, database: str) -> bytes:
    """Write all rows of an installation's metadata as text."""
    return subprocess.run(
        ["pg_dump", "--data-only", database],
        env={**os.environ, **server.postgres.environment},
        check=True,
        capture_output=True,
    ).stdout
