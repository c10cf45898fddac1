"""The lab that is fought over: two herds, the product twice, and their workers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.test import override_settings

from herds.models import Worker
from lab import HerdSpec, Lab, Layout
from tests.lab.metadata import MetadataServer
from tests.lab.product import PLAIN_COMMANDS, Product, RunningWorker, until
from tests.lab.throwaway import throwaway_lab

PREFIX = "nemesis-"
CLIENT = "ele07"
"""A host without a database, from which the client writes."""

USER = "nemesis"
PASSWORD = "nemesis-of-the-lab"
TABLE = "acknowledged"

LAYOUT = Layout(
    hosts=tuple(f"ele{number:02}" for number in range(1, 8)),
    herds=(
        HerdSpec(
            name="trade",
            environment="prod",
            port=5432,
            members=("ele01", "ele02", "ele03"),
            data_root="/var/lib/postgresql/15/trade",
        ),
        HerdSpec(
            name="quote",
            environment="prod",
            port=5433,
            members=("ele04", "ele05", "ele06"),
            data_root="/var/lib/postgresql/it's here/quote; data",
            packaging="plain",
        ),
    ),
)
"""A herd as Debian packages it, and one that only pg_ctl knows, on hosts of its own."""

ARCHIVING = "trade"
"""The herd that archives its WAL, to nowhere; it switches segments when it stops."""

_ARCHIVE = "archive_mode = on\narchive_command = '/bin/true'\n"

SETTINGS: dict[str, Any] = {
    "SSH": {"CONNECT_TIMEOUT": 2.0},
    "OPERATIONS": {"PATIENCE": 8.0},
}
"""What keeps a worker from waiting for long where waiting is vain."""

_PREPARE = f"""
CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor;
CREATE TABLE {TABLE} (run int, number int, PRIMARY KEY (run, number));
GRANT SELECT, INSERT ON {TABLE} TO {USER};
"""


class Arena:
    """The lab and, for each herd, the installation of the product that manages it."""

    def __init__(self, lab: Lab, metadata: MetadataServer) -> None:
        self.lab = lab
        self.metadata = metadata
        self._products = {
            "trade": Product(
                lab, metadata, "nemesis_debian", ("trade",), manages_dns=True
            ),
            "quote": Product(
                lab,
                metadata,
                "nemesis_plain",
                ("quote",),
                PLAIN_COMMANDS,
                manages_dns=True,
            ),
        }
        self._workers: dict[str, RunningWorker] = {}
        self._endings = contextlib.ExitStack()
        for herd, spec in lab.herds.items():
            lab.sql(herd, spec.members[0], _PREPARE)
        self._have_archive(ARCHIVING)

    def _have_archive(self, herd: str) -> None:
        product = self._products[herd]
        path = product.configuration(herd)
        for host in product.hosts(herd):
            append = ["sh", "-c", 'cat >>"$1"', "sh", path]
            self.lab.exec(host, append, user="postgres", stdin=_ARCHIVE)
            product.stop(f"{herd}@{host}")
            product.start(f"{herd}@{host}")
        until(lambda: product.streams(herd), 30, f"{herd} streams")

    @property
    def herds(self) -> tuple[str, ...]:
        """The herds, in the order that scenarios number them."""
        return tuple(self._products)

    @contextlib.contextmanager
    def product(self, herd: str) -> Iterator[Product]:
        """Give the product that manages a herd; its metadata is what models read."""
        product = self._products[herd]
        dns = {"KEY_FILE": str(self.lab.dns_key)}
        with product.used_here(), override_settings(DNS=dns):
            if herd not in self._workers:
                self.start_worker(herd)
            yield product

    def start_worker(self, herd: str) -> None:
        """Start a worker for a herd, after an earlier one was killed as well."""
        self._workers[herd] = self._endings.enter_context(
            self._products[herd].worker(threads=4, **SETTINGS)
        )

    def worker(self, herd: str) -> RunningWorker:
        """Give the worker of a herd."""
        return self._workers[herd]

    def kill_worker(self, herd: str) -> Worker:
        """End a herd's worker as a power cut would; give its row."""
        worker = self._workers.pop(herd)
        worker.kill()
        return worker.row

    def give_up_worker(self, herd: str) -> RunningWorker:
        """Give a herd's worker, which another one is to replace."""
        return self._workers.pop(herd)

    def close(self) -> None:
        """End the workers."""
        self._endings.close()


@contextlib.contextmanager
def arena() -> Iterator[Arena]:
    """Make the lab and install the product, and take everything away afterwards."""
    metadata = MetadataServer()
    try:
        with throwaway_lab(PREFIX, LAYOUT) as lab:
            made = Arena(lab, metadata)
            try:
                yield made
            finally:
                made.close()
    finally:
        metadata.destroy()
