"""Only news is reported, nothing gets lost, and the state file is safe."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pgutil_report import news, rounds, state
from pgutil_report.config import Config, Upstream
from pgutil_report.look import Looker
from pgutil_report.state import State, Unsafe
from pgutil_report.values import Instance

BOUNDS = news.Bounds(heartbeat=60, position_bytes=1000)
NOW = 1_700_000_000.0
TRADE = Instance(
    base_name="trade",
    port=5432,
    data_directory="/data/trade",
    version="15.4",
    online=True,
    role="standby",
    upstream="ele02",
    position=5000,
    seen_at=10.0,
)


def told(known: State, *instances: Instance, now: float = NOW) -> list[str]:
    """Return which check-ins are due and why, and take them as made."""
    due = list(news.reports(instances, known, BOUNDS, now))
    for report in due:
        news.remember(known, report, now)
    return [f"{report.place} {report.why}" for report in due]


def test_what_did_not_change_is_told_once_a_heartbeat() -> None:
    known = State()

    assert told(known, TRADE) == ["trade:5432 new"]
    assert told(known, TRADE, now=NOW + 59) == []
    assert told(known, TRADE, now=NOW + 60) == ["trade:5432 heartbeat"]
    assert told(known, TRADE, now=NOW + 61) == []


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    known = State()
    told(known, TRADE)

    assert told(known, TRADE, now=NOW - 3600) == ["trade:5432 heartbeat"]


@pytest.mark.parametrize(
    "changed",
    [
        {"online": False},
        {"version": "15.5"},
        {"upstream": "ele03"},
        {"upstream": ""},
        {"timeline": 2},
        {"streaming": True},
        {"position": 6000},
        {"position": 4000},
    ],
)
def test_a_change_is_told_at_once(changed: dict[str, Any]) -> None:
    known = State()
    told(known, TRADE)

    assert len(told(known, replace(TRADE, **changed), now=NOW + 1)) == 1


def test_a_position_that_moved_a_little_waits_for_the_heartbeat() -> None:
    known = State()
    told(known, TRADE)

    assert told(known, replace(TRADE, position=5999), now=NOW + 1) == []


def test_silence_is_no_news_but_new_ones_are_announced() -> None:
    """What was reported last grows old, and that is shown."""
    known = State()
    silent = replace(TRADE, online=None, position=None)

    assert told(known, silent) == ["trade:5432 new"]
    assert told(known, silent, now=NOW + 600) == []
    assert told(known, TRADE, now=NOW + 601) == ["trade:5432 changed"]
    assert told(known, silent, now=NOW + 602) == []


def test_a_closed_directory_is_not_reported() -> None:
    assert told(State(), replace(TRADE, version=None)) == []


def test_what_is_gone_is_told_as_stopped_once() -> None:
    known = State()
    told(known, TRADE)

    (report,) = news.reports([], known, BOUNDS, NOW)

    assert report.arguments("ele01") == {
        "sherd": "trade",
        "nport": 5432,
        "bonline": False,
        "shost": "ele01",
    }
    assert told(known, now=NOW + 1) == ["trade:5432 no longer there"]
    assert told(known, now=NOW + 2) == []
    assert known.sent == {}


def test_another_port_ends_the_old_one() -> None:
    known = State()
    told(known, TRADE)
    moved = replace(TRADE, port=5433)

    assert told(known, moved, now=NOW + 1) == [
        "trade:5432 no longer there",
        "trade:5433 new",
    ]
    assert told(known, moved, now=NOW + 2) == []


def test_another_directory_under_the_same_name_is_no_end() -> None:
    known = State()
    told(known, TRADE)
    moved = replace(TRADE, data_directory="/data/elsewhere")

    assert told(known, moved, now=NOW + 1) == ["trade:5432 new"]
    assert list(known.sent) == ["/data/elsewhere"]


def test_of_two_with_one_name_the_running_one_comes_first() -> None:
    old = replace(TRADE, data_directory="/data/14", online=False)

    due = news.reports([old, TRADE], State(), BOUNDS, NOW)

    assert [each.data_directory for each in due] == ["/data/trade", "/data/14"]


def test_what_is_unknown_is_left_out_and_no_upstream_is_said() -> None:
    primary = replace(TRADE, role="primary", upstream="", position=None)
    (report,) = news.reports([primary], State(), BOUNDS, NOW)

    assert report.arguments("ele01", now=12.5) == {
        "sherd": "trade",
        "nport": 5432,
        "sver": "15.4",
        "bonline": True,
        "sdatadir": "/data/trade",
        "smasterhost": "",
        "shost": "ele01",
        "nage": 2.5,
    }


# Rounds


class Refused(Exception):
    pass


class Away(Exception):
    pass


class Metadata:
    """A metadata database that takes everything, unless told otherwise."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.refuses: set[str] = set()
        self.left: int | None = None

    def __call__(self, _upstream: Upstream) -> Metadata:
        if self.left == 0:
            raise Away("connection refused")
        return self

    def discover(self, host: str) -> None:
        self._hear(host)

    def check_in(self, arguments: dict[str, Any]) -> int | None:
        if arguments["sherd"] in self.refuses:
            raise Refused("no")
        self._hear(f"{arguments['sherd']} {arguments.get('bonline')}")
        return None

    def _hear(self, what: str) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Away("cut off")
        self.heard.append(what)

    def close(self) -> None:
        pass


class Host:
    """A host with instances that a test decides on."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.metadata = Metadata()
        self.instances = [TRADE, replace(TRADE, base_name="quote", data_directory="/q")]
        self.path = str(path / "state" / "state.json")
        monkeypatch.setattr(
            rounds, "observe", lambda *_: (list(self.instances), ["one is odd"])
        )

    def turn(self, meta: str = "meta") -> rounds.Outcome:
        config = Config(upstream=Upstream(meta), host_name="ele01")
        looker = Looker("ele01", lambda *_: pytest.fail("nobody is asked"))
        return rounds.Round(
            config, looker, self.metadata, Away, Refused, self.path
        ).run()

    def heard(self) -> list[str]:
        """Return what was heard since it was asked last."""
        found, self.metadata.heard = self.metadata.heard, []
        return found


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_a_host_announces_itself_and_then_its_instances(host: Host) -> None:
    outcome = host.turn()

    assert host.heard() == ["ele01", "quote True", "trade True"]
    assert (outcome.troubles, outcome.untold) == (["one is odd"], [])
    assert host.turn().told == []
    assert host.heard() == []


def test_a_host_without_instances_announces_itself(host: Host) -> None:
    host.instances = []
    host.turn()
    host.turn()

    assert host.heard() == ["ele01"]


def test_what_the_metadata_missed_is_told_by_the_next_run(host: Host) -> None:
    host.turn()
    host.heard()
    host.metadata.left = 0
    host.instances = [replace(each, online=False) for each in host.instances]

    (sentence,) = host.turn().untold

    assert "cannot be reached: connection refused. 2 instances are not" in sentence
    host.metadata.left = None
    assert host.turn().untold == []
    assert host.heard() == ["quote False", "trade False"]


def test_a_connection_cut_in_the_middle_loses_only_the_rest(host: Host) -> None:
    host.metadata.left = 2

    (sentence,) = host.turn().untold

    assert "One instance is not reported" in sentence
    host.heard()
    host.metadata.left = None
    host.turn()
    assert host.heard() == ["trade True"]


def test_one_refused_report_stops_no_other_and_is_tried_again(host: Host) -> None:
    host.metadata.refuses = {"quote"}

    assert host.turn().untold == ["quote:5432 was not taken: no."]
    assert host.heard() == ["ele01", "trade True"]
    host.metadata.refuses = set()
    host.turn()
    assert host.heard() == ["quote True"]


def test_another_metadata_database_is_told_everything(host: Host) -> None:
    host.turn()
    host.heard()
    host.turn("other")

    assert host.heard() == ["ele01", "quote True", "trade True"]


# The state file


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "own" / "state.json")


def known() -> State:
    found = State("ele01 meta", NOW)
    told(found, TRADE)
    return found


def test_the_state_is_kept_for_us_alone(path: str) -> None:
    state.write(path, known())

    assert state.read(path) == (known(), "")
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    assert os.listdir(os.path.dirname(path)) == ["state.json"]


def test_a_state_that_was_never_written_is_empty(path: str) -> None:
    assert state.read(path) == (State(), "")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": 2}',
        '{"format": 1, "target": "", "heard_at": 0, "sent": {"/d": {}}}',
        "[" * 100_000,
        '{"x": "' + "x" * state.LARGEST + '"}',
    ],
)
def test_a_damaged_state_is_started_anew(path: str, content: str) -> None:
    state.write(path, State())
    Path(path).write_text(content)

    found, sentence = state.read(path)

    assert found == State()
    assert "reported again" in sentence
    state.write(path, known())
    assert state.read(path) == (known(), "")


def test_a_link_in_place_of_the_state_is_refused(path: str, tmp_path: Path) -> None:
    state.write(path, known())
    os.rename(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)

    with pytest.raises(Unsafe, match="is a link"):
        state.read(path)


def test_a_state_that_others_may_write_is_refused(path: str) -> None:
    state.write(path, known())
    os.chmod(path, 0o620)

    with pytest.raises(Unsafe, match="open to others"):
        state.read(path)


def test_a_directory_that_others_may_write_to_is_refused(path: str) -> None:
    state.write(path, known())
    os.chmod(os.path.dirname(path), 0o777)

    for act in (lambda: state.read(path), lambda: state.write(path, known())):
        with pytest.raises(Unsafe, match="mode 0700"):
            act()


def test_a_directory_that_is_a_link_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    os.symlink(tmp_path / "real", os.path.dirname(path))

    with pytest.raises(Unsafe, match="no directory"), state.held(path, 0):
        pass


def test_somebody_elses_state_is_refused(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.write(path, known())
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(Unsafe, match="somebody else"):
        state.read(path)


def test_what_was_left_half_written_does_no_harm(path: str, tmp_path: Path) -> None:
    state.write(path, known())
    victim = tmp_path / "victim"
    victim.write_text("mine")
    os.symlink(victim, f"{path}.new")

    state.write(path, State("other"))

    assert state.read(path)[0].target == "other"
    assert victim.read_text() == "mine"
    assert json.loads(Path(path).read_text())["format"] == 1


def test_one_agent_at_a_time_works_with_a_state(path: str) -> None:
    with (
        state.held(path, 0),
        pytest.raises(Unsafe, match="Another pgutil_report"),
        state.held(path, 0),
    ):
        pass
    with state.held(path, 0):
        pass


def test_the_state_lies_where_systemd_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/x:/y")
    assert state.default_path() == "/var/lib/x/state.json"


def test_without_a_place_in_the_system_it_lies_at_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setattr(state, "SYSTEM_DIRECTORY", "/nowhere")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/st")
    assert state.default_path() == "/home/me/st/pgutil_report/state.json"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert state.default_path() == "/home/me/.local/state/pgutil_report/state.json"
