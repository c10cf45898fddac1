"""What ``make setup`` does to a machine, with doubles for apt-get and pip."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from lab import prerequisites
from tools import setup

PACKAGES = {"bind9": "names", "rsync": "copies"}


class Machine:
    """A machine on which installing is only written down."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.policy = folder / "policy-rc.d"
        self.log = folder / "log"
        self.project = folder / "project"
        self.programs.mkdir()
        self.project.mkdir()
        self.log.touch()

    def has(self, name: str, script: str, at: Path | None = None) -> None:
        """Install a program."""
        path = (at or self.programs) / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def logs(self) -> list[str]:
        return self.log.read_text().splitlines()

    def pip_runs(self) -> int:
        return sum("pip install" in line for line in self.logs())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A Debian machine of which we are root, with nothing else on it."""
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{machine.programs}{os.pathsep}{os.defpath}")
    monkeypatch.setattr(setup, "POLICY", machine.policy)
    monkeypatch.setattr(setup, "PROJECT", machine.project)
    monkeypatch.setattr(setup, "ENVIRONMENT", machine.project / ".venv")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    allowed = f'[ -x {machine.policy} ]; echo "forbidden=$?"'
    machine.has(
        "apt-get", f'echo "apt-get $*" >>{machine.log}; {allowed} >>{machine.log}'
    )
    machine.has("systemctl", f'echo "systemctl $*" >>{machine.log}')
    (machine.project / "requirements.txt").write_text("Django\n")
    (machine.project / "requirements-dev.txt").write_text(
        "-r requirements.txt\npytest\n"
    )
    return machine


def with_environment(machine: Machine) -> None:
    """Put an environment there whose Python writes down what it is asked."""
    folder = machine.project / ".venv" / "bin"
    folder.mkdir(parents=True)
    machine.has("python", f'echo "python $*" >>{machine.log}', at=folder)


def test_what_will_be_installed_is_said_before(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    setup.install_packages(PACKAGES)

    said = capsys.readouterr().out
    assert "bind9: names" in said
    assert "neither started on this machine nor enabled at boot" in said
    assert any(
        line.startswith("apt-get install") and line.endswith("bind9 rsync -q")
        for line in machine.logs()
    )


def test_no_service_can_start_while_packages_are_installed(machine: Machine) -> None:
    setup.install_packages(PACKAGES)

    assert machine.logs().count("forbidden=0") == 2
    assert not machine.policy.exists()


def test_new_services_are_not_enabled_at_boot(machine: Machine) -> None:
    setup.install_packages(PACKAGES)

    assert machine.logs()[-1] == "systemctl disable --quiet named.service"


def test_the_policy_goes_when_installing_fails(machine: Machine) -> None:
    machine.has("apt-get", "exit 100")

    with pytest.raises(setup.subprocess.CalledProcessError):
        setup.install_packages(PACKAGES)

    assert not machine.policy.exists()


def test_a_policy_that_an_ended_setup_left_behind_goes(machine: Machine) -> None:
    machine.policy.write_text(setup.POLICY_TEXT)

    setup.install_packages(PACKAGES)

    assert not machine.policy.exists()


def test_the_machines_own_policy_stays(machine: Machine) -> None:
    machine.policy.write_text("#!/bin/sh\nexit 0\n")

    setup.install_packages(PACKAGES)

    assert machine.policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_who_is_not_root_is_told_the_command_and_nothing_is_done(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(setup.SetupError) as refused:
        setup.install_packages(PACKAGES)

    assert "sudo apt-get install -y --no-install-recommends bind9 rsync" in str(
        refused.value
    )
    assert machine.logs() == []


def test_the_list_is_the_labs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = prerequisites.Need("named-in-the-lab", (), "for this test")
    monkeypatch.setattr(prerequisites, "missing", lambda: [lacking])
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/it")
    monkeypatch.setattr(setup, "FOR_BENCH", (setup.Extra("it", "", lambda: True),))

    assert setup.missing_packages(tests=False, bench=True) == {
        "named-in-the-lab": "for this test"
    }


def test_nothing_is_installed_twice(machine: Machine) -> None:
    with_environment(machine)

    setup.make_environment(tests=True)
    setup.make_environment(tests=True)
    setup.make_environment(tests=False)

    assert machine.pip_runs() == 1


def test_changed_requirements_are_installed(machine: Machine) -> None:
    with_environment(machine)
    setup.make_environment(tests=True)

    (machine.project / "requirements.txt").write_text("Django==5.2\n")
    setup.make_environment(tests=True)

    assert machine.pip_runs() == 2


def test_the_tests_packages_come_on_top_of_the_demos(machine: Machine) -> None:
    with_environment(machine)
    setup.make_environment(tests=False)
    setup.make_environment(tests=True)

    assert machine.pip_runs() == 2


def test_a_broken_environment_is_made_anew(machine: Machine) -> None:
    machine.project.joinpath(".venv/bin").mkdir(parents=True)
    machine.has("python", "exit 1", at=machine.project / ".venv" / "bin")
    (machine.project / "requirements.txt").write_text("")

    setup.make_environment(tests=False)

    python = machine.project / ".venv" / "bin" / "python"
    assert python.stat().st_mode & stat.S_IXUSR
    assert python.is_symlink()
