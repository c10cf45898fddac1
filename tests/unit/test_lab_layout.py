"""Which hosts and herds a lab has, and which wishes are refused."""

from __future__ import annotations

from collections import Counter

import pytest

from lab.errors import LabError
from lab.layout import (
    ENVIRONMENTS,
    HerdSpec,
    Layout,
    adjust,
    default_layout,
    host_names,
    layout_from_json,
)


def instances_on(layout: Layout) -> Counter[str]:
    """Count the instances of each host."""
    return Counter(host for herd in layout.herds for host in herd.members)


def test_twelve_hosts_carry_what_the_demonstration_promises() -> None:
    layout = default_layout(12, "15")
    layout.check()
    assert len(layout.hosts) == 12
    assert len(layout.herds) >= 4
    assert {herd.environment for herd in layout.herds} == set(ENVIRONMENTS)
    counts = instances_on(layout)
    assert set(counts) == set(layout.hosts)
    assert counts.total() >= 12
    assert max(counts.values()) == 2


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 12, 40, 100, 251])
@pytest.mark.parametrize("per_host", [None, 1, 2, 3])
def test_any_number_of_hosts_works(count: int, per_host: int | None) -> None:
    layout = default_layout(count, "15", per_host)
    layout.check()
    counts = instances_on(layout)
    assert set(counts) == set(layout.hosts)
    if per_host:
        assert set(counts.values()) == {per_host}


def test_a_host_is_in_one_environment_only() -> None:
    layout = default_layout(30, "15", 2)
    homes = {(host, herd.environment) for herd in layout.herds for host in herd.members}
    assert len(homes) == len(layout.hosts)


def test_host_names_sort_as_they_are_numbered() -> None:
    assert host_names(3) == ("ele01", "ele02", "ele03")
    assert host_names(100)[0] == "ele001"
    assert list(host_names(120)) == sorted(host_names(120))


@pytest.mark.parametrize("count", [0, -1, 100_000])
def test_an_impossible_number_of_hosts_is_refused(count: int) -> None:
    with pytest.raises(LabError, match=r"1 to \d+ database hosts"):
        host_names(count)


def test_herds_are_read_from_json() -> None:
    text = """[
        {"name": "a", "members": ["ele01", "ele02"]},
        {"name": "b", "members": ["ele02"], "environment": "dev", "port": 6000,
         "data_root": "/var/lib/postgresql/it's b", "packaging": "plain"}
    ]"""
    layout = layout_from_json(text, 2, "16")
    layout.check()
    first, second = layout.herds
    assert (first.port, first.environment) == (5432, "prod")
    assert first.data_root == "/var/lib/postgresql/16/a"
    assert (second.port, second.packaging) == (6000, "plain")
    assert second.data_root == "/var/lib/postgresql/it's b"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not valid JSON"),
        ("{}", "a JSON list"),
        ("[1]", "number 1 needs name and members"),
        ('[{"name": "a"}]', "number 1 needs name and members"),
        ('[{"name": "a", "members": [], "wheels": 4}]', "may have only"),
        ('[{"name": "a", "members": []}]', "no members"),
        ('[{"name": "a", "members": ["ele01", "ele01"]}]', "twice"),
        ('[{"name": "a", "members": ["ele09"]}]', "ele09, which is not there"),
        ('[{"name": "dns", "members": ["ele01"]}]', "no host's name"),
        ('[{"name": "A b", "members": ["ele01"]}]', "Herd name 'A b'"),
        ('[{"name": "a", "members": ["ele01"], "port": 80}]', "port 80"),
        ('[{"name": "a", "members": ["ele01"], "data_root": "/srv"}]', "not below"),
        ('[{"name": "a", "members": ["ele01"], "packaging": "rpm"}]', "'rpm'"),
        (
            '[{"name": "a", "members": ["ele01"]},'
            ' {"name": "a", "members": ["ele02"]}]',
            "same name",
        ),
        (
            '[{"name": "a", "members": ["ele01"], "port": 6000},'
            ' {"name": "b", "members": ["ele01"], "port": 6000}]',
            "port 6000",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(LabError, match=reason):
        layout_from_json(text, 2, "15").check()


def test_a_herd_has_the_major_and_the_packaging_it_names() -> None:
    text = """[
        {"name": "a", "members": ["ele01"], "version": 18},
        {"name": "b", "members": ["ele01"], "version": "17", "packaging": "rhel"}
    ]"""
    layout = layout_from_json(text, 1, "15")
    layout.check()
    assert [herd.version for herd in layout.herds] == ["18", "17"]
    assert [herd.data_root for herd in layout.herds] == [
        "/var/lib/postgresql/18/a",
        "/var/lib/pgsql/17/data",
    ]


def test_a_herd_without_a_major_gets_the_labs() -> None:
    herds = (
        HerdSpec("a", "prod", 5432, ("ele01",), "/var/lib/postgresql/a"),
        HerdSpec("b", "prod", 5433, ("ele01",), "/var/lib/postgresql/b", version="14"),
    )
    layout = Layout(("ele01",), herds).with_version("16")
    assert [herd.version for herd in layout.herds] == ["16", "14"]


def test_a_herd_packaged_anew_moves_to_where_that_keeps_data() -> None:
    layout = default_layout(3, "15")
    moved = adjust(layout, {}, {"trade": "rhel"}).herds[0]
    kept = adjust(layout, {}, {"trade": "plain"}).herds[0]
    assert moved.data_root == "/var/lib/pgsql/15/data"
    assert kept.data_root == "/var/lib/postgresql/15/trade"


def test_two_herds_of_a_host_cannot_share_a_data_root() -> None:
    herd = '{"name": "%s", "members": ["ele01"], "packaging": "rhel"}'
    layout = layout_from_json(f"[{herd % 'a'}, {herd % 'b'}]", 1, "17")
    with pytest.raises(LabError, match=r"ele01 have data root /var/lib/pgsql/17/data"):
        layout.check()


def test_a_data_root_cannot_climb_out_of_its_place() -> None:
    layout = default_layout(1, "15")
    climbing = adjust(layout, {"trade": "/var/lib/postgresql/../../etc/x"}, {})
    with pytest.raises(LabError, match="not below"):
        climbing.check()


def test_adjusting_an_unknown_herd_names_the_known_ones() -> None:
    with pytest.raises(LabError, match="trade"):
        adjust(default_layout(1, "15"), {}, {"nobody": "plain"})
