"""Verbs are judged by what is seen afterwards, whatever a command says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from herds.domain.cluster import Activity, Observation
from herds.domain.lsn import Lsn
from herds.errors import (
    CommandTimedOut,
    HostKeyChanged,
    HostUnreachable,
    NotObserved,
    OutcomeUnknown,
    PreconditionFailed,
)
from herds.postgres.cluster import Acted
from herds.services.refresh import REFRESH
from herds.services.reload import RELOAD
from herds.services.restart import RESTART
from herds.services.start import START
from herds.services.stop import STOP
from tests.doubles.stories import stage

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def running(**values: Any) -> Observation:
    return Observation(
        **{
            "activity": Activity.RUNNING,
            "observed_at": NOW,
            "version": "15.18",
            "pid": 100,
            "started_at": NOW.replace(hour=11),
            "answers": True,
            "in_recovery": False,
            "position": Lsn(1),
            "loaded_at": NOW.replace(hour=11),
            "facts": {"loaded_ago": 3600.0},
            **values,
        }
    )


def stopped(control: str = "shut down") -> Observation:
    return Observation(
        activity=Activity.STOPPED, observed_at=NOW, version="15", control_state=control
    )


def being(activity: Activity, trouble: str = "") -> Observation:
    return Observation(
        activity=activity, observed_at=NOW, version="15", pid=100, trouble=trouble
    )


def acted(seen: Observation, status: int | None = 0, **values: Any) -> Acted:
    return Acted(
        **{
            "command": "pg_ctl x",
            "status": status,
            "stdout": "",
            "stderr": "",
            "seconds": 0.1,
            "seen": seen,
            **values,
        }
    )


RENEWED = running(pid=200, started_at=NOW)
LOST = OutcomeUnknown("ele01", "pg_ctl x", "the host closed the connection")
LATE = CommandTimedOut("ele01", "pg_ctl x", 60, stopped=True)
SILENT = HostUnreachable("ele01", "timed out")


class TestStart:
    def test_a_stopped_cluster_is_started_and_seen(self) -> None:
        on = stage([stopped()], {"start": acted(RENEWED)})

        assert START.run(on.target) == (
            "Started. ele01 runs PostgreSQL 15.18 as a primary since 12:00:00 UTC."
        )
        assert on.told() == [("look", "succeeded"), ("start", "succeeded")]
        assert on.recorded == [stopped(), RENEWED]

    def test_a_running_one_is_left_alone(self) -> None:
        on = stage([running(in_recovery=True)])

        assert START.run(on.target) == (
            "Nothing to do: ele01 runs PostgreSQL 15.18 as a standby since "
            "11:00:00 UTC."
        )
        assert on.cluster.acts == []

    def test_one_that_still_recovers_is_waited_for_though_the_command_failed(
        self,
    ) -> None:
        starting = being(Activity.STARTING, "FATAL:  starting up")
        on = stage(
            [stopped("in production"), starting, starting, RENEWED],
            {"start": acted(starting, status=1)},
        )

        assert START.run(on.target).startswith("Started. ele01 runs")

    def test_a_command_that_failed_and_left_nothing_running_is_not_waited_for(
        self,
    ) -> None:
        on = stage(
            [stopped()],
            {"start": acted(stopped(), status=1, stderr="\nno space left\n")},
        )

        with pytest.raises(NotObserved) as failed:
            START.run(on.target)

        assert failed.value.message == (
            "ele01 is stopped (pg_control says 'shut down'): the command ended with "
            "exit status 1 and said: no space left."
        )
        assert failed.value.status == 1
        assert on.clock.passed == 0
        assert on.told()[-1] == ("start", "failed")

    def test_a_command_that_succeeded_without_effect_fails_by_the_deadline(
        self,
    ) -> None:
        on = stage([stopped()], {"start": acted(stopped())}, patience=7)

        with pytest.raises(NotObserved, match=r"Waited 7 s for ele01 to accept conn"):
            START.run(on.target)

        assert 7 <= on.clock.passed < 8

    @pytest.mark.parametrize("unclear", [LOST, LATE], ids=["lost", "late"])
    def test_a_command_whose_outcome_is_unknown_is_judged_by_looks(
        self, unclear: Any
    ) -> None:
        on = stage([stopped(), SILENT, SILENT, RENEWED], {"start": unclear})

        assert START.run(on.target).startswith("Started. ele01 runs")
        assert on.steps.told[1].notes == [unclear.message]
        assert on.cluster.acts == ["start"], "it is not run a second time"

    def test_a_host_that_stays_silent_leaves_the_state_unknown(self) -> None:
        on = stage([stopped(), SILENT], {"start": LOST}, patience=5)

        with pytest.raises(HostUnreachable):
            START.run(on.target)

        assert on.recorded == [stopped()]

    def test_a_changed_host_key_ends_the_wait_at_once(self) -> None:
        changed = HostKeyChanged("ele01", presented="SHA256:a", pinned="SHA256:b")
        on = stage([stopped(), changed], {"start": LOST})

        with pytest.raises(HostKeyChanged):
            START.run(on.target)

        assert on.clock.passed == 0

    @pytest.mark.parametrize(
        ("activity", "words"),
        [
            (Activity.ABSENT, "ele01 has no directory /srv/trade; nothing was done."),
            (Activity.FOREIGN, "/srv/trade on ele01 is not a PostgreSQL data dir"),
        ],
    )
    @pytest.mark.parametrize("action", [START, STOP, RESTART], ids=lambda a: a.name)
    def test_where_no_cluster_is_nothing_is_done(
        self, action: Any, activity: Activity, words: str
    ) -> None:
        on = stage([Observation(activity=activity, observed_at=NOW)])

        with pytest.raises(PreconditionFailed) as refused:
            action.run(on.target)

        assert refused.value.message.startswith(words)
        assert refused.value.hint.startswith("Correct the data root")
        assert on.cluster.acts == []


class TestStop:
    def test_a_running_cluster_is_stopped_and_pg_control_says_so(self) -> None:
        on = stage([running()], {"stop": acted(stopped())})

        assert STOP.run(on.target) == (
            "Stopped. ele01 is stopped (pg_control says 'shut down')."
        )

    def test_a_stopped_one_is_left_alone(self) -> None:
        on = stage([stopped("shut down in recovery")])

        assert STOP.run(on.target).startswith("Nothing to do: ele01 is stopped (")
        assert on.cluster.acts == []

    def test_one_that_takes_its_time_is_waited_for(self) -> None:
        stopping = being(Activity.STOPPING)
        on = stage(
            [running(), stopping, stopping, stopped()],
            {"stop": acted(stopping, status=1)},
        )

        assert STOP.run(on.target).startswith("Stopped.")

    def test_one_that_goes_on_is_told_with_what_the_command_said(self) -> None:
        on = stage(
            [running()],
            {"stop": acted(running(), status=2, stdout="not permitted")},
            patience=3,
        )

        with pytest.raises(NotObserved, match=r"exit status 2 and said: not permitted"):
            STOP.run(on.target)


class TestRestart:
    def test_it_goes_down_and_comes_up(self) -> None:
        on = stage([running()], {"stop": acted(stopped()), "start": acted(RENEWED)})

        assert RESTART.run(on.target).startswith("Restarted. ele01 runs")
        assert on.cluster.acts == ["stop", "start"]
        assert on.steps.finishes

    def test_a_stopped_one_is_started_and_that_is_said(self) -> None:
        on = stage([stopped()], {"start": acted(RENEWED)})

        assert RESTART.run(on.target).startswith("Started; it was not running. ele01")
        assert on.cluster.acts == ["start"]

    def test_one_that_does_not_go_down_is_not_started(self) -> None:
        on = stage([running()], {"stop": acted(running())}, patience=1)

        with pytest.raises(NotObserved):
            RESTART.run(on.target)

        assert on.cluster.acts == ["stop"]

    def test_half_way_down_an_interrupted_one_comes_up(self) -> None:
        on = stage(
            [stopped()],
            {"start": acted(RENEWED)},
            earlier={"look": running().evidence()},
        )

        assert RESTART.run(on.target).startswith("Restarted. ele01 runs")

    def test_one_that_still_goes_down_is_brought_down_first(self) -> None:
        stopping = replace(running(), activity=Activity.STOPPING)
        on = stage(
            [stopping],
            {"stop": acted(stopped()), "start": acted(RENEWED)},
            earlier={"look": running().evidence()},
        )

        assert RESTART.run(on.target).startswith("Restarted.")
        assert on.cluster.acts == ["stop", "start"]

    @pytest.mark.parametrize(
        "earlier", [running(), stopped()], ids=["was running", "was stopped"]
    )
    def test_one_with_a_new_postmaster_is_left_alone(
        self, earlier: Observation
    ) -> None:
        on = stage([RENEWED], earlier={"look": earlier.evidence()})

        assert RESTART.run(on.target).startswith("Restarted already. ele01 runs")
        assert on.cluster.acts == []

    def test_the_same_number_after_a_boot_is_a_new_postmaster(self) -> None:
        on = stage([running(started_at=NOW)], earlier={"look": running().evidence()})

        assert RESTART.run(on.target).startswith("Restarted already.")


class TestReload:
    def test_it_is_seen_by_the_age_of_what_is_loaded(self) -> None:
        old = running()
        fresh = running(loaded_at=NOW, facts={"loaded_ago": 0.01})
        on = stage([old, old, fresh], {"reload": acted(old)})

        assert RELOAD.run(on.target) == (
            "ele01 loaded its configuration at 12:00:00 UTC."
        )

    def test_a_clock_of_the_host_that_is_wrong_does_not_matter(self) -> None:
        fresh = running(loaded_at=NOW.replace(year=2001), facts={"loaded_ago": 0.0})
        on = stage([fresh], {"reload": acted(fresh)})

        assert RELOAD.run(on.target).startswith("ele01 loaded its configuration")

    def test_what_only_a_restart_applies_is_said(self) -> None:
        fresh = running(facts={"loaded_ago": 0.0}, pending_restart=("max_connections",))
        on = stage([fresh], {"reload": acted(fresh)})

        assert RELOAD.run(on.target).endswith(
            "Only a restart applies: max_connections."
        )

    def test_errors_in_the_files_fail_it_with_their_place(self) -> None:
        fresh = running(
            facts={"loaded_ago": 0.0}, configuration_errors=("/srv/a.conf:3: no",)
        )
        on = stage([fresh], {"reload": acted(fresh)})

        with pytest.raises(PreconditionFailed, match=r"/srv/a\.conf:3: no"):
            RELOAD.run(on.target)

    def test_one_that_does_not_run_has_nothing_to_reload(self) -> None:
        on = stage([stopped()], {"reload": acted(stopped(), status=None)})

        with pytest.raises(PreconditionFailed, match="is not running, so there is"):
            RELOAD.run(on.target)

        assert on.recorded == [stopped()]

    def test_one_that_never_loads_fails_by_the_deadline(self) -> None:
        old = running()
        on = stage([old], {"reload": acted(old)}, patience=4)

        with pytest.raises(NotObserved, match="to load its configuration"):
            RELOAD.run(on.target)

        assert 4 <= on.clock.passed < 5

    def test_one_that_answers_nobody_is_not_waited_for(self) -> None:
        mute = running(
            answers=False, trouble="FATAL:  sorry, too many clients", facts={}
        )
        on = stage([mute], {"reload": acted(mute)})

        with pytest.raises(NotObserved, match="too many clients"):
            RELOAD.run(on.target)

        assert on.clock.passed == 0

    def test_a_lost_command_is_judged_by_looks(self) -> None:
        fresh = running(facts={"loaded_ago": 0.0})
        on = stage([SILENT, fresh], {"reload": LOST})

        assert RELOAD.run(on.target).startswith("ele01 loaded its configuration")


class TestRefresh:
    def test_it_says_what_is_true_and_changes_nothing(self) -> None:
        on = stage([being(Activity.STARTING, "FATAL:  starting up")])

        assert REFRESH.run(on.target) == (
            "ele01 is still starting (FATAL:  starting up)."
        )
        assert on.cluster.acts == []

    def test_one_that_answers_nobody_is_told_with_its_words(self) -> None:
        mute = running(answers=False, trouble="psql: error:\nFATAL:  full")
        on = stage([mute])

        assert REFRESH.run(on.target) == (
            "ele01 runs since 11:00:00 UTC, but answers no connection: FATAL:  full"
        )
