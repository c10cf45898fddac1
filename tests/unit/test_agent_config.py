"""The agent's configuration says what it means, or is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgutil_report import config
from pgutil_report.config import WrongConfiguration

UPSTREAM = "[upstream]\ndb_host = meta\n"


def test_a_host_is_all_that_is_needed() -> None:
    found = config.parse(UPSTREAM + "[report]\nhost_name = ELE01.example.com.\n")

    assert found.upstream == config.Upstream("meta")
    assert found.upstream.place == "pgutil_report@meta:5432/admin"
    assert found.host_name == "ele01.example.com"


def test_everything_can_be_said() -> None:
    found = config.parse(
        "[upstream]\ndb_host=m\ndb_port=6432\ndb_user=u\ndb_name=n\ndb_schema=s\n"
        "sslmode=require\n"
        "[report]\ninterval=3\nheartbeat=20.5\nposition_bytes=1\ntimeout=2\n"
        "data_roots=\n  /srv/a b\n  /srv/c\nsocket_directories=/run/x\n"
        "state_file=/var/lib/x/state.json\nos_user=pg\ninstance_user=monitor\n"
        "instance_database=stats\n"
        "[names]\n/srv/C = trade\n"
    )

    assert found.upstream == config.Upstream(
        "m", 6432, "u", "n", "s", {"sslmode": "require"}
    )
    assert (found.interval, found.heartbeat, found.timeout) == (3, 20.5, 2)
    assert found.data_roots == ("/srv/a b", "/srv/c")
    assert found.socket_directories == ("/run/x",)
    assert (found.os_user, found.instance_user) == ("pg", "monitor")
    assert found.names == {"/srv/C": "trade"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[upstream]\ndb_port = 1\n", "needs db_host"),
        (UPSTREAM + "db_port = 0\n", "from 1 to 65535"),
        (UPSTREAM + "db_port = many\n", "not 'many'"),
        (UPSTREAM + "db_hots = x\n", "db_hots, which means nothing"),
        (UPSTREAM + "db_host = y\n", "already exists"),
        (UPSTREAM + "[reports]\n", r"no section \[reports\]"),
        (UPSTREAM + "[report]\ninterval = 0\n", "interval is a number from 1"),
        (UPSTREAM + "[report]\nheartbeat = nan\n", "heartbeat is a number"),
        (UPSTREAM + "[report]\ndata_roots = here\n", "absolute paths"),
        (UPSTREAM + "[report]\nstate_file =\n  /a\n  /b\n", "one path"),
        (UPSTREAM + "[report]\nhost_name = not a host\n", "no host name"),
        (UPSTREAM + "[names]\nhere = trade\n", "/path/of/the/data"),
        (UPSTREAM + "[names]\n/here = tr ade\n", "a cluster name has"),
        ("db_host = x\n", "line 1 stands before the first section"),
        (UPSTREAM + "db_port 5432\n", "line 3 is no `name = value`"),
    ],
)
def test_what_is_wrong_is_refused_with_the_reason(text: str, told: str) -> None:
    with pytest.raises(WrongConfiguration, match=told):
        config.parse(text)


@pytest.mark.parametrize(
    "key", ["db_password", "password", "db_passwd", "db_pass", "DB_PASSWORD", "secret"]
)
def test_a_password_is_refused_and_its_place_is_named(key: str) -> None:
    with pytest.raises(WrongConfiguration, match=r"\.pgpass") as refused:
        config.parse(UPSTREAM + f"{key} = tiger42\n")

    assert "tiger42" not in str(refused.value)


def test_a_line_that_is_not_understood_is_not_shown() -> None:
    for text in ("db_password tiger42\n" + UPSTREAM, UPSTREAM + "password tiger42\n"):
        with pytest.raises(WrongConfiguration) as refused:
            config.parse(text)
        assert "tiger42" not in str(refused.value)


def test_a_file_that_is_not_there_is_named_with_what_belongs_in_it(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "agent.ini")

    with pytest.raises(WrongConfiguration, match=f"no {path}.*db_host"):
        config.load(path)
    assert config.load(path, required=False).upstream is None


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongConfiguration, match="no regular file"):
        config.load(str(tmp_path), required=False)
