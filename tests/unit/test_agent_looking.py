"""Data directories are found every way there is, and read without their server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pgutil_report import finders, programs
from pgutil_report.look import Looker, NoInstance, base_name
from pgutil_report.rounds import observe
from pgutil_report.values import Answer, Candidate, Instance


class Silence(Exception):
    """The server gives no answer."""


def cluster(root: Path, name: str, version: str = "15", **files: str) -> Path:
    """Make what looks like a stopped cluster; ``__`` in a name stands for a dot."""
    data = root / name
    data.mkdir(parents=True)
    for file, text in {"PG_VERSION": f"{version}\n", **files}.items():
        (data / file.replace("__", ".")).write_text(text)
    return data


def looker(answer: Answer | Exception | None = None, **more: object) -> Looker:
    """Look at clusters whose server gives one answer."""

    def ask(directory: str, host: str, port: int) -> Answer:
        if isinstance(answer, Answer):
            return answer
        raise answer or AssertionError("a stopped server was asked")

    return Looker(
        host="ele01",
        ask=ask,
        is_silence=lambda error: isinstance(error, Silence),
        **more,  # type: ignore[arg-type]
    )


def look(data: Path, answer: Answer | Exception | None = None) -> Instance:
    return looker(answer).look(Candidate(str(data)))


@pytest.fixture(autouse=True)
def _no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find no PostgreSQL of this machine."""

    def missing(argv: list[str], seconds: float = 0) -> str:
        raise FileNotFoundError(argv[0])

    monkeypatch.setattr(programs, "output", missing)


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cluster whose postmaster is, to all appearances, this process."""
    data = cluster(tmp_path, "trade")
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n1\n5440\n/run/x\n")
    monkeypatch.chdir(data)
    return data


# Finding


def places(root: Path, **more: object) -> finders.Places:
    nowhere = str(root / "nowhere")
    no_processes = root / "proc"
    no_processes.mkdir(exist_ok=True)
    defaults: dict[str, object] = {
        "debian": nowhere,
        "sockets": (),
        "units": (),
        "distributions": (),
        "proc": str(no_processes),
    }
    return finders.Places(**defaults | more)  # type: ignore[arg-type]


def found(where: finders.Places, root: Path) -> dict[str, list[str]]:
    """Return by what each data directory below a root was found."""
    candidates, troubles = finders.find(where)
    assert troubles == []
    return {
        os.path.relpath(each.data_directory, root): each.found_by
        for each in candidates
        if each.data_directory.startswith(str(root))
    }


def test_all_ways_lead_to_one_candidate(tmp_path: Path, running: Path) -> None:
    (tmp_path / "link").symlink_to(running)
    units = tmp_path / "units"
    units.mkdir()
    (units / "postgresql-15.service").write_text(f"ExecStart=x -D {tmp_path}/link/\n")
    sockets = tmp_path / "sockets"
    sockets.mkdir()
    (sockets / ".s.PGSQL.5440.lock").write_text(f"1\n{tmp_path}/link\n1\n5440\n")
    etc = tmp_path / "etc/15/main"
    etc.mkdir(parents=True)
    (etc / "postgresql.conf").write_text(f"data_directory = '{running}'\n")

    where = places(
        tmp_path,
        proc="/proc",
        debian=str(tmp_path / "etc"),
        sockets=(str(sockets),),
        units=(str(units),),
        distributions=(f"{tmp_path}/tr*",),
        roots=(str(tmp_path),),
        remembered=(str(running),),
    )

    assert found(where, tmp_path) == {
        "trade": ["pg_lsclusters", "process", "socket", "unit", "root", "remembered"]
    }
    (only,) = (
        each for each in finders.find(where)[0] if each.data_directory == str(running)
    )
    assert (only.cluster, only.port, only.pid) == ("main", 5440, os.getpid())
    assert only.configuration == str(etc)


def test_roots_are_searched_two_levels_deep(tmp_path: Path) -> None:
    for name in ("a", "b/15", "c/15/too-deep"):
        cluster(tmp_path / "[x]", name)

    assert set(found(places(tmp_path, roots=(f"{tmp_path}/[x]",)), tmp_path)) == {
        "[x]/a",
        "[x]/b/15",
    }


def test_a_lock_file_of_somebody_else_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / ".s.PGSQL.5432.lock"
    lock.write_text("1\n/data/foreign\n1\n5432\n")
    (tmp_path / ".s.PGSQL.5433.lock").symlink_to(lock)
    (tmp_path / ".s.PGSQL.5434.lock").write_text("nonsense")
    where = places(tmp_path, sockets=(str(tmp_path),))

    assert [each.port for each in finders.sockets(where)] == [5432]
    if os.geteuid() == 0:
        os.chown(lock, 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert list(finders.sockets(where)) == []


def test_a_way_that_fails_stops_no_other(tmp_path: Path) -> None:
    data = cluster(tmp_path, "trade")
    where = places(tmp_path, proc=str(tmp_path / "nowhere"), remembered=(str(data),))

    candidates, troubles = finders.find(where)

    assert [each.data_directory for each in candidates] == [str(data)]
    assert len(troubles) == 1
    assert "by process failed" in troubles[0]


# Names


@pytest.mark.parametrize(
    ("directory", "debian", "cluster_name", "name"),
    [
        ("/var/lib/postgresql/15/main", "trade", "15/x", "trade"),
        ("/var/lib/postgresql/15/main", "", "15/trade", "trade"),
        ("/var/lib/postgresql/15/main", "", "", "main"),
        ("/var/lib/pgsql/17/data", "", "hat", "hat"),
        ("/var/lib/pgsql/17/data", "", "", "data"),
        ("/var/lib/pgsql/data", "", "", "data"),
        ("/srv/trade/data", "", "", "trade"),
        ("/srv/it's here/15 ledger", "", "not a name", "15_ledger"),
        ("/srv/" + "x" * 80, "", "", "x" * 63),
    ],
)
def test_the_cluster_name_is_what_a_dba_would_say(
    directory: str, debian: str, cluster_name: str, name: str
) -> None:
    assert base_name(Candidate(directory, cluster=debian), cluster_name) == name


def test_a_configured_name_comes_first(tmp_path: Path) -> None:
    data = cluster(tmp_path, "trade")
    named = looker(names={str(data): "quote"}).look(Candidate(str(data), cluster="x"))

    assert named.base_name == "quote"


# Stopped


def test_a_stopped_primary_follows_nobody(tmp_path: Path) -> None:
    seen = look(cluster(tmp_path, "trade", postgresql__conf="port = 5444\n"))

    assert (seen.base_name, seen.port, seen.version) == ("trade", 5444, "15")
    assert (seen.online, seen.role, seen.upstream) == (False, "primary", "")
    assert seen.trouble == ""


@pytest.mark.parametrize(
    ("version", "files", "upstream"),
    [
        (
            "15",
            {
                "standby__signal": "",
                "postgresql__conf": "primary_conninfo = 'host=old'\n",
                "postgresql__auto__conf": "primary_conninfo = 'host=new port=1'\n",
            },
            "new",
        ),
        (
            "11",
            {"recovery__conf": "standby_mode=on\nprimary_conninfo='host=up'\n"},
            "up",
        ),
        ("15", {"standby__signal": "", "postgresql__conf": ""}, None),
        (
            "15",
            {"standby__signal": "", "postgresql__conf": "primary_conninfo='port=1'\n"},
            "ele01",
        ),
        (
            "15",
            {
                "standby__signal": "",
                "postgresql__conf": "primary_conninfo='host=localhost'\n",
            },
            "ele01",
        ),
    ],
    ids=["auto", "recovery.conf", "unknown", "socket", "localhost"],
)
def test_a_stopped_standby_tells_its_upstream(
    tmp_path: Path, version: str, files: dict[str, str], upstream: str | None
) -> None:
    seen = look(cluster(tmp_path, "trade", version, **files))

    assert (seen.role, seen.upstream) == ("standby", upstream)


# Running


def test_a_running_server_is_believed(running: Path) -> None:
    answer = Answer("15.4", True, 99, "7", 3, True, "up", "15/quote")

    seen = look(running, answer)

    assert (seen.base_name, seen.port, seen.version) == ("quote", 5440, "15.4")
    assert (seen.online, seen.role, seen.upstream) == (True, "standby", "up")
    assert (seen.position, seen.timeline, seen.streaming) == (99, 3, True)


def test_a_server_without_answer_is_unknown_and_not_stopped(running: Path) -> None:
    seen = look(running, Silence("nothing"))

    assert seen.online is None
    assert "port 5440 could not be asked" in seen.trouble


def test_a_server_that_refuses_us_runs(running: Path) -> None:
    seen = look(running, OSError("starting up"))

    assert seen.online is True
    assert "starting up" in seen.trouble


def test_a_bad_postmaster_pid_leaves_it_open_whether_it_runs(tmp_path: Path) -> None:
    data = cluster(tmp_path, "trade", postmaster__pid="nonsense")

    seen = look(data, OSError("no socket"))

    assert seen.online is None
    assert "does not begin with a process number" in seen.trouble
    assert look(data, Answer("15.4", False)).online is True


def test_a_stale_postmaster_pid_is_that_of_a_stopped_one(tmp_path: Path) -> None:
    data = cluster(tmp_path, "trade", postmaster__pid=f"{os.getpid()}\n/other\n")

    assert look(data).online is False


# What is none, and what breaks


def test_what_holds_no_data_is_no_instance(tmp_path: Path) -> None:
    for candidate in (tmp_path, tmp_path / "gone", cluster(tmp_path, "x", "hello")):
        with pytest.raises(NoInstance):
            look(candidate)


def test_one_broken_instance_stops_no_other(tmp_path: Path) -> None:
    good = cluster(tmp_path, "good")
    bad = cluster(tmp_path, "bad")
    (bad / "PG_VERSION").unlink()
    (bad / "PG_VERSION").mkdir()
    cluster(tmp_path, "foreign", "hello")
    where = places(tmp_path, roots=(str(tmp_path),))

    seen, troubles = observe(where, looker())

    assert [each.data_directory for each in seen if each.version] == [str(good)]
    assert len(troubles) == 1
    assert f"{bad}/PG_VERSION" in troubles[0]
