"""A lab comes up whole, and whatever happened to it, it goes without a trace."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import HerdSpec, Lab, LabError, Layout
from lab.processes import Process, marked
from lab.state import LabState

from .conftest import PREFIX
from .polling import eventually
from .throwaway import throwaway_lab

PROJECT = Path(__file__).parent.parent.parent

ONE_HOST = Layout(
    hosts=("ele01",),
    herds=(
        HerdSpec(
            name="solo",
            environment="dev",
            port=5432,
            members=("ele01",),
            data_root="/var/lib/postgresql/15/solo",
        ),
    ),
)


@pytest.fixture
def small() -> Iterator[Lab]:
    """A lab of one host, not up yet; taken down after the test in any case."""
    with throwaway_lab(PREFIX, purpose="small") as lab:
        yield lab


def trace_of(lab: Lab) -> list[str]:
    """Return what is left of a lab on this machine."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    interfaces = [path.name for path in Path("/sys/class/net").iterdir()]
    return [
        *(f"process {process.pid}" for process in marked(str(lab.directory))),
        *(line for line in mounts if str(lab.directory) in line),
        *(name for name in interfaces if name == "br0" or name.startswith("p-")),
        *([str(lab.directory)] if lab.directory.exists() else []),
    ]


def kill(process: Process | None) -> None:
    """Kill a part of the lab behind its back, and see it gone."""
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not process.is_alive(), f"end of {process.pid}")


def test_a_lab_comes_up_and_leaves_nothing_behind(small: Lab) -> None:
    assert small.up(ONE_HOST)
    init = small.state.running("ele01")
    assert init is not None
    assert small.primary("solo") == "ele01"
    assert small.down()
    assert trace_of(small) == []
    assert not init.is_alive()


def test_no_address_of_the_lab_is_on_the_machine_itself(small: Lab) -> None:
    small.up(ONE_HOST)
    shown = subprocess.run(
        ["ip", "-oneline", "addr"], capture_output=True, text=True, check=True
    ).stdout
    inside = small.exec("ele01", ["ip", "-oneline", "addr"]).stdout
    address = small.hosts["ele01"].address
    assert address in inside
    assert address not in shown


def test_up_leaves_a_lab_that_is_up_alone(small: Lab) -> None:
    small.up(ONE_HOST)
    before = small.state.running("ele01")
    assert small.up(ONE_HOST) is False
    assert small.state.running("ele01") == before


def test_down_without_a_lab_says_that_there_is_none(small: Lab) -> None:
    assert small.down() is False


def test_two_labs_have_networks_of_their_own(lab: Lab, small: Lab) -> None:
    small.up(ONE_HOST)
    assert small.state.network != lab.state.network
    identifiers = {
        small.sql("solo", "ele01", "select system_identifier from pg_control_system()"),
        lab.sql("trade", "ele01", "select system_identifier from pg_control_system()"),
    }
    assert len(identifiers) == 2


def test_down_ends_a_lab_that_lost_its_switch_and_a_host(small: Lab) -> None:
    small.up(ONE_HOST)
    kill(Process.read(small.state.switch_record))
    kill(small.state.running("ele01"))
    assert small.down()
    assert trace_of(small) == []


def test_down_ends_a_lab_whose_files_were_deleted(small: Lab) -> None:
    small.up(ONE_HOST)
    shutil.rmtree(small.directory)
    assert len(marked(str(small.directory))) >= 4
    assert small.down()
    assert trace_of(small) == []


def begin_and_kill_up(small: Lab) -> None:
    """Start ``up`` in a process of its own and kill it once a host was started."""
    program = subprocess.Popen(
        [sys.executable, "-m", "lab", "--name", small.name, "up", "3"],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    record = small.directory / "hosts/control/init"
    eventually(lambda: record.exists() or program.poll() is not None, "the first host")
    # The whole group: also the helper that starts hosts one after the other.
    os.killpg(program.pid, signal.SIGKILL)
    program.wait()
    state = LabState.load(small.name)
    assert state is not None
    assert not state.complete


def test_down_ends_a_lab_whose_up_was_killed(small: Lab) -> None:
    begin_and_kill_up(small)
    assert marked(str(small.directory))
    assert small.down()
    assert trace_of(small) == []


def test_up_replaces_a_lab_whose_up_was_killed(small: Lab) -> None:
    begin_and_kill_up(small)
    said: list[str] = []
    assert small.up(ONE_HOST, say=said.append)
    assert "in parts" in said[0]
    assert small.primary("solo") == "ele01"


def test_a_reused_process_number_is_not_touched(small: Lab) -> None:
    small.up(ONE_HOST)
    kill(small.state.running("ele01"))
    with subprocess.Popen(["sleep", "60"]) as bystander:
        # As if the number of the host's first process now belonged to somebody else.
        started = Process.of(bystander.pid).start_time
        Process(bystander.pid, started - 1).write(small.state.disk("ele01") / "init")
        assert small.status()["hosts"]["ele01"]["up"] is False
        small.down()
        assert bystander.poll() is None
        bystander.kill()


def test_without_a_lab_the_way_to_one_is_told(small: Lab) -> None:
    with pytest.raises(LabError, match="Make one with: up"):
        small.status()


def test_ctrl_c_while_the_demonstration_starts_takes_it_down(small: Lab) -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "lab", "--name", small.name, "demo"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    record = small.directory / "hosts/dns/init"
    eventually(lambda: record.exists() or program.poll() is not None, "the dns host")
    # A terminal sends it to the whole group.
    os.killpg(program.pid, signal.SIGINT)
    said, _ = program.communicate(timeout=60)
    assert said.endswith("Taking the demonstration down.\n")
    assert program.returncode == 0
    assert trace_of(small) == []
