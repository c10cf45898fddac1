"""The metrics, read from the metadata when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from herds import conf
from herds.selectors import figures
from herds.selectors.attention import survey
from herds.selectors.operations import workers_alive


class FleetCollector(Collector):
    """Reads the whole fleet in a fixed number of queries.

    Nothing is kept between two scrapes, so it does not matter which process of the site
    answers.
    """

    def collect(self) -> Iterator[Metric]:
        """Give every family of metrics."""
        yield _instances()
        yield from _herds()
        if conf.metrics().per_instance:
            yield _lags()
        yield _attention()
        yield from _operations()
        yield from _ages()

    def describe(self) -> list[Metric]:
        """Tell nothing beforehand: registering it asks the database nothing."""
        return []


def registry() -> CollectorRegistry:
    """Give a registry that holds our metrics and none of this process's own."""
    made = CollectorRegistry(auto_describe=False)
    made.register(FleetCollector())
    return made


def _instances() -> Metric:
    family = GaugeMetricFamily(
        "elephaas_instances",
        "Instances, by environment, by what is known of them, and by role.",
        labels=["environment", "state", "role"],
    )
    for environment, state, role, count in figures.instances_by_state():
        family.add_metric([environment, state, role], count)
    return family


def _herds() -> Iterator[Metric]:
    labels = ["environment", "herd"]
    lag = GaugeMetricFamily(
        "elephaas_herd_lag_bytes",
        "Bytes that the standby furthest behind is behind its upstream.",
        labels=labels,
    )
    standbys = GaugeMetricFamily(
        "elephaas_herd_standbys",
        "Running standbys of a herd, by whether they were seen to receive WAL.",
        labels=[*labels, "streaming"],
    )
    writable = GaugeMetricFamily(
        "elephaas_herd_writable_primaries",
        "Members of a herd that were seen to take writes; 1 is right.",
        labels=labels,
    )
    for herd in figures.herds():
        names = [herd.environment, herd.herd]
        if herd.lag is not None:
            lag.add_metric(names, herd.lag)
        standbys.add_metric([*names, "yes"], herd.streaming)
        standbys.add_metric([*names, "no"], herd.broken)
        if herd.members:
            writable.add_metric(names, herd.writable)
    yield from (lag, standbys, writable)


def _lags() -> Metric:
    family = GaugeMetricFamily(
        "elephaas_instance_lag_bytes",
        "Bytes that a standby is behind its upstream.",
        labels=["environment", "herd", "host"],
    )
    for environment, herd, host, octets in figures.lags():
        family.add_metric([environment, herd, host], octets)
    return family


def _attention() -> Metric:
    family = GaugeMetricFamily(
        "elephaas_attention",
        "What needs a person now, by kind.",
        labels=["kind"],
    )
    for section in survey(most=1):
        family.add_metric([section.kind.value], section.total)
    return family


def _operations() -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "elephaas_operations",
        "Operations that have ended, by action and outcome.",
        labels=["action", "state"],
    )
    for action, state, count in figures.operations_by_end():
        ended.add_metric([action, state], count)
    yield ended
    running = GaugeMetricFamily(
        "elephaas_operations_under_way",
        "Operations that have not ended, by state.",
        labels=["state"],
    )
    for state, count in figures.operations_under_way().items():
        running.add_metric([state], count)
    yield running
    yield GaugeMetricFamily(
        "elephaas_queued_targets",
        "Targets of operations that no worker has begun.",
        value=figures.targets_waiting(),
    )
    yield GaugeMetricFamily(
        "elephaas_workers_alive",
        "Workers that gave a sign of life lately.",
        value=workers_alive().count(),
    )


def _ages() -> Iterator[Metric]:
    age = figures.age()
    oldest = GaugeMetricFamily(
        "elephaas_oldest_observation_age_seconds",
        "Age of what was seen longest ago, of all instances that were ever seen.",
    )
    if age.now is not None and age.oldest is not None:
        oldest.add_metric([], max(0.0, (age.now - age.oldest).total_seconds()))
    yield oldest
    yield GaugeMetricFamily(
        "elephaas_instances_never_seen",
        "Instances that were registered and never seen.",
        value=age.never,
    )
