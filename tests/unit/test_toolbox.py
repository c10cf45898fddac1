"""The clusters that verbs work with, made from the inventory and the settings."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest
from pytest_django.fixtures import Settings

from herds.domain.clock import SystemClock
from herds.errors import HostKeyUnknown
from herds.models import Herd, Instance, Server
from herds.services.toolbox import Toolbox


def test_a_host_without_an_accepted_key_is_refused_when_it_is_used(
    settings: Settings, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    paramiko.RSAKey.generate(2048).write_private_key_file(str(key))
    settings.SSH = {"PRIVATE_KEY_FILE": str(key)}
    toolbox = Toolbox(SystemClock())
    member = Instance(
        herd=Herd(herd_name="trade", base_name="trade", pgdata="/d", db_port=5432),
        server=Server(hostname="ele01"),
    )

    cluster = toolbox.cluster(member)

    assert cluster.host == "ele01"
    with pytest.raises(HostKeyUnknown, match="ele01 was never accepted"):
        cluster.look()
    toolbox.close()
