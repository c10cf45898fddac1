"""An inventory to test with: one builder a model, nothing random."""

from __future__ import annotations

from typing import Any

import pytest

from herds.models import Environment, Herd, Instance, Server


class Inventory:
    """Makes rows; what a test does not say is made to fit."""

    def environment(self, name: str = "prod") -> Environment:
        """Return the environment of this name."""
        return Environment.objects.get_or_create(env_name=name)[0]

    def herd(self, name: str = "trade", **values: Any) -> Herd:
        """Make a herd, in prod and with a port of its own unless told otherwise."""
        values.setdefault("base_name", name)
        values.setdefault("db_port", 5432 + Herd.objects.count())
        values.setdefault("pgdata", f"/var/lib/postgresql/15/{name}")
        values.setdefault("vhost", f"{name}.lab.test")
        if "environment" not in values:
            values["environment"] = self.environment()
        return Herd.objects.create(herd_name=name, **values)

    def server(self, name: str = "ele01", **values: Any) -> Server:
        """Make a server, in prod unless told otherwise."""
        if "environment" not in values:
            values["environment"] = self.environment()
        return Server.objects.create(hostname=name, **values)

    def instance(self, herd: Herd, server: Server | str, **values: Any) -> Instance:
        """Make an instance, of version 15.4 unless told otherwise."""
        if isinstance(server, str):
            server = Server.objects.filter(hostname=server).first() or self.server(
                server
            )
        values.setdefault("version", "15.4")
        return Instance.objects.create(herd=herd, server=server, **values)


@pytest.fixture
def inventory(db: None) -> Inventory:
    """Rows to test with."""
    return Inventory()
