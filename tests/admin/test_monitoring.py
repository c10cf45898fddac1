"""What other programs ask: metrics, health and readiness, and who may ask for them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families

from herds.domain.states import OperationState, TargetState
from herds.models import Herd, Instance, Worker
from herds.selectors.trouble import Kind
from tests import factories
from tests.browser import fleet

pytestmark = pytest.mark.django_db

TOKEN = "a-token-that-is-long-enough"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def opened(settings: Any) -> None:
    """Metrics can be had with the token."""
    settings.METRICS = {"TOKEN": TOKEN}


def scrape(client: Client) -> dict[str, dict[tuple[str, ...], float]]:
    """Return every family's samples; labels stand in the order of their names."""
    answer = client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200
    return {
        sample.name: {
            tuple(each.labels.values()): each.value
            for each in family.samples
            if each.name == sample.name
        }
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


# What is told --------------------------------------------------------------------


def test_instances_and_herds_are_counted(client: Client, opened: None) -> None:
    primary = factories.instance("trade", "ele01", "prod")
    for host, lag, streaming in (
        ("ele02", 5, True),
        ("ele03", 7_000, True),
        ("ele04", None, False),
        ("ele05", None, None),
    ):
        factories.instance(
            "trade",
            host,
            "prod",
            master=primary,
            lag_octets=lag,
            is_streaming=streaming,
        )
    factories.instance("quote", "ele06", "dev", is_online=False)
    factories.instance(
        "trade", "ele07", "prod", master=primary, unreachable_since=timezone.now()
    )

    told = scrape(client)

    assert told["elephaas_instances"] == {
        ("prod", "primary", "online"): 1,
        ("prod", "replica", "online"): 4,
        ("prod", "replica", "unknown"): 1,
        ("dev", "primary", "stopped"): 1,
    }
    assert told["elephaas_herd_lag_bytes"] == {("prod", "trade"): 7_000}
    assert told["elephaas_herd_standbys"] == {
        ("prod", "trade", "yes"): 2,
        ("prod", "trade", "no"): 1,
        ("dev", "quote", "yes"): 0,
        ("dev", "quote", "no"): 0,
    }
    assert told["elephaas_herd_writable_primaries"] == {
        ("prod", "trade"): 1,
        ("dev", "quote"): 0,
    }
    assert "elephaas_instance_lag_bytes" not in told


def test_a_lag_of_each_instance_is_told_where_that_is_wanted(
    client: Client, settings: Any
) -> None:
    settings.METRICS = {"TOKEN": TOKEN, "PER_INSTANCE": True}
    primary = factories.instance("trade", "ele01", "prod")
    factories.instance("trade", "ele02", "prod", master=primary, lag_octets=5)

    told = scrape(client)

    assert told["elephaas_instance_lag_bytes"] == {("prod", "trade", "ele02"): 5}


def test_herds_of_one_name_without_an_environment_are_one_series(
    client: Client, opened: None
) -> None:
    for port in (5432, 5433):
        Herd.objects.create(
            herd_name="orphan", base_name="o", pgdata="/srv/o", db_port=port
        )

    told = scrape(client)

    assert told["elephaas_herd_standbys"][("", "orphan", "yes")] == 0
    text = client.get("/metrics", headers=BEARER).content.decode()
    lines = [line for line in text.splitlines() if 'streaming="yes"' in line]
    assert len(lines) == 1


def test_every_kind_of_attention_is_there(client: Client, opened: None) -> None:
    primary = factories.instance("trade", "ele01", "prod")
    for number in range(7):
        factories.instance(
            "trade", f"s{number}", "prod", master=primary, is_streaming=False
        )

    told = scrape(client)["elephaas_attention"]

    assert set(told) == {(kind.value,) for kind in Kind}
    assert told[("not-streaming",)] == 7
    assert told[("no-worker",)] == 1
    assert told[("split",)] == 0


def test_operations_and_workers_are_counted(client: Client, opened: None) -> None:
    factories.worker()
    factories.worker(heartbeat_at=timezone.now() - timedelta(minutes=5))
    member = factories.instance()
    for state in (
        OperationState.SUCCEEDED,
        OperationState.SUCCEEDED,
        OperationState.FAILED,
        OperationState.INTERRUPTED,
        OperationState.PLANNED,
    ):
        factories.operation(state=state)
    running = factories.operation(state=OperationState.RUNNING)
    factories.target(running, member, TargetState.QUEUED)

    told = scrape(client)

    assert told["elephaas_operations_total"] == {
        ("restart", "succeeded"): 2,
        ("restart", "failed"): 1,
    }
    assert told["elephaas_operations_under_way"] == {
        ("cancelling",): 0,
        ("queued",): 0,
        ("running",): 1,
    }
    assert told["elephaas_queued_targets"] == {(): 1}
    assert told["elephaas_workers_alive"] == {(): 1}


def test_the_oldest_observation_has_its_age(client: Client, opened: None) -> None:
    then = timezone.now() - timedelta(seconds=100)
    factories.instance("trade", "ele01", observed_at=then)
    factories.instance("trade", "ele02", observed_at=None)

    told = scrape(client)

    assert 100 <= told["elephaas_oldest_observation_age_seconds"][()] < 1_000
    assert told["elephaas_instances_never_seen"] == {(): 1}


def test_an_empty_fleet_has_metrics_too(client: Client, opened: None) -> None:
    told = scrape(client)

    assert told["elephaas_workers_alive"] == {(): 0}
    assert "elephaas_oldest_observation_age_seconds" not in told


def test_names_cannot_break_the_format(client: Client, opened: None) -> None:
    name = 'a "b" \\ {c}'
    factories.herd(name, base_name="main", pgdata="/srv/pg", vhost="")
    factories.instance(name, "ele01", "prod")

    told = scrape(client)

    assert ("prod", name) in told["elephaas_herd_writable_primaries"]


def test_openmetrics_are_given_to_who_asks_for_them(
    client: Client, opened: None
) -> None:
    factories.operation(state=OperationState.SUCCEEDED)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}

    answer = client.get("/metrics", headers={**BEARER, **accept})

    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert "elephaas_operations" in {
        family.name for family in open_metrics(answer.content.decode())
    }


def test_a_scrape_costs_as_many_queries_for_500_instances_as_for_5(
    client: Client, settings: Any
) -> None:
    settings.METRICS = {"TOKEN": TOKEN, "PER_INSTANCE": True}

    def asked() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/metrics", headers=BEARER).status_code == 200
        return [query["sql"] for query in captured.captured_queries]

    factories.instance("trade", "ele01", "elsewhere")
    few = asked()
    fleet.build_large(herds=100, members=5)
    many = asked()

    assert Instance.objects.count() > 500
    assert len(many) == len(few), "\n".join(many)


# Who may read it -----------------------------------------------------------------


def test_without_a_setting_nobody_reads_them(client: Client, settings: Any) -> None:
    settings.METRICS = {}

    for headers in ({}, BEARER, {"Authorization": "Bearer "}):
        answer = client.get("/metrics", headers=headers)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert b"elephaas_" not in answer.content


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xe9",
    ],
)
def test_a_wrong_token_is_refused(client: Client, opened: None, given: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": given})

    assert answer.status_code == 401


def test_being_logged_in_does_not_open_them(
    administrator: Client, opened: None
) -> None:
    assert administrator.get("/metrics").status_code == 401


def test_a_token_in_a_file_opens_them(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    settings.METRICS = {"TOKEN_FILE": str(file)}
    assert client.get("/metrics", headers=BEARER).status_code == 200

    for broken in ("", "short"):
        file.write_text(broken)
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {broken}"})
        assert answer.status_code == 401
    file.unlink()
    assert client.get("/metrics", headers=BEARER).status_code == 401


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("192.0.2.7", 200),
        ("::ffff:192.0.2.7", 200),
        ("2001:db8::9", 200),
        ("192.0.3.7", 401),
        ("2001:db9::9", 401),
        ("", 401),
        ("unix:", 401),
    ],
)
def test_a_known_address_needs_no_token(
    client: Client, settings: Any, address: str, status: int
) -> None:
    settings.METRICS = {"ADDRESSES": ["192.0.2.0/24", "2001:db8::/32"]}

    answer = client.get("/metrics", REMOTE_ADDR=address)

    assert answer.status_code == status


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_an_address_does_not_count_behind_a_proxy(
    client: Client, settings: Any, header: str
) -> None:
    settings.METRICS = {"ADDRESSES": ["127.0.0.1"]}
    assert client.get("/metrics").status_code == 200

    answer = client.get("/metrics", headers={header: "127.0.0.1"})

    assert answer.status_code == 401


def test_metrics_are_only_read(client: Client, opened: None) -> None:
    assert client.post("/metrics", headers=BEARER).status_code == 405


def test_metadata_that_cannot_be_read_are_told(
    client: Client, opened: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, "herds.selectors.figures.instances_by_state")

    answer = client.get("/metrics", headers=BEARER)

    assert answer.status_code == 503
    assert answer.content == b"The metadata cannot be read.\n"


# Health and readiness --------------------------------------------------------------


def test_health_asks_nothing_of_the_metadata(client: Client) -> None:
    with CaptureQueriesContext(connection) as asked:
        answer = client.get("/healthz")

    assert answer.status_code == 200
    assert json.loads(answer.content) == {"status": "ok"}
    assert len(asked) == 0


def test_a_site_with_everything_is_ready(client: Client) -> None:
    factories.worker()

    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert json.loads(answer.content) == {
        "status": "ok",
        "metadata": "ok",
        "migrations": "ok",
        "worker": "ok",
    }
    assert "no-cache" in answer["Cache-Control"]


def test_a_site_without_a_worker_is_not_ready(client: Client) -> None:
    factories.worker()
    Worker.objects.update(stopped_at=timezone.now())

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert json.loads(answer.content) == {
        "status": "not ready",
        "metadata": "ok",
        "migrations": "ok",
        "worker": "none is alive",
    }


def test_a_site_that_is_newer_than_its_metadata_is_not_ready(client: Client) -> None:
    factories.worker()
    last = MigrationRecorder.Migration.objects.filter(app="herds").latest("name")
    last.delete()

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert json.loads(answer.content)["migrations"] == "not all applied"


def test_a_site_without_metadata_tells_nothing_else(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(
        monkeypatch,
        "django.db.backends.base.base.BaseDatabaseWrapper.ensure_connection",
    )

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert json.loads(answer.content) == {
        "status": "not ready",
        "metadata": "cannot be read",
        "migrations": "unknown",
        "worker": "unknown",
    }


def fail(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have something fail as it does without the metadata server."""

    def refuse(*_: object, **__: object) -> None:
        raise OperationalError('connection to "10.1.2.3" failed: no password supplied')

    monkeypatch.setattr(name, refuse)
