"""Marks for facts say what they mean in words, and nothing a person typed is markup."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from herds.admin import badges
from herds.admin.badges import Health

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def before(**ago: int) -> datetime:
    return NOW - timedelta(**ago)


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 kB"),
        (3_355_443, "3.2 MB"),
        (1024**2 - 1, "1.0 MB"),
        (5 * 1024**3, "5.0 GB"),
        (7 * 1024**5, "7.0 PB"),
    ],
)
def test_size_is_written_in_the_unit_people_read(octets: int, words: str) -> None:
    assert badges.size(octets) == words


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (NOW + timedelta(seconds=2), "now"),
        (NOW, "now"),
        (before(seconds=4), "4 s ago"),
        (before(seconds=89), "89 s ago"),
        (before(seconds=90), "1 min ago"),
        (before(minutes=89), "89 min ago"),
        (before(minutes=90), "1 h ago"),
        (before(hours=35), "35 h ago"),
        (before(hours=36), "2 days ago"),
        (before(days=400), "400 days ago"),
    ],
)
def test_age_is_written_in_its_largest_telling_unit(
    moment: datetime, words: str
) -> None:
    assert badges.age_in_words(moment, NOW) == words


def test_age_carries_the_exact_time() -> None:
    assert 'title="2026-03-01 11:59:56 UTC"' in badges.age(before(seconds=4), NOW)


def test_a_fresh_fact_is_followed_by_its_age() -> None:
    mark = badges.lag(3_355_443, before(seconds=4), NOW)

    assert "3.2 MB behind, <time" in mark
    assert ">4 s ago</time>" in mark
    assert "ele-stale" not in mark


def test_a_stale_fact_is_faded_with_its_age_first() -> None:
    mark = badges.lag(3_355_443, before(minutes=12), NOW)

    assert mark.startswith('<span class="ele-stale"><time')
    assert mark.index("12 min ago") < mark.index("3.2 MB behind")


def test_a_replica_read_after_its_upstream_is_not_ahead_of_it() -> None:
    assert "0 bytes behind" in badges.lag(-4096, before(seconds=4), NOW)


def test_a_lag_that_was_never_seen_is_unknown() -> None:
    mark = badges.lag(None, None, NOW)

    assert "unknown" in mark
    assert "behind" not in mark


def test_every_state_has_an_icon_of_its_own_beside_its_word() -> None:
    marks = {health: badges.state(health, "word") for health in Health}

    assert len({health.icon for health in Health}) == len(Health)
    for health, mark in marks.items():
        assert health.icon in mark
        assert "word" in mark
        assert f"ele-state--{health.value}" in mark


def test_an_environment_has_one_hue_whatever_its_case() -> None:
    assert badges.environment_hue("prod") == "prod"
    assert badges.environment_hue("Production") == "prod"
    assert badges.environment_hue("STAGE") == "stage"
    assert badges.environment_hue("dev") == "dev"
    assert badges.environment_hue(None) == "none"
    assert badges.environment_hue("Analytics") == badges.environment_hue("analytics")


def test_every_production_looks_like_production() -> None:
    for name in ("prod", "production", "live", "prod-eu", "prod2", "Production (US)"):
        assert badges.environment_hue(name) == "prod", name


def test_only_production_looks_like_production() -> None:
    others = ["dev", "stage", "qa", "product", "non-prod", "pre-prod", "preprod", "2"]

    assert "prod" not in {badges.environment_hue(name) for name in others}


def test_what_people_typed_is_text_and_never_markup() -> None:
    evil = '<script>alert("x")</script>'
    marks = [
        badges.state(Health.FINE, evil, evil),
        badges.environment(evil),
        badges.beside_environment(evil, evil),
        badges.mono(evil),
        badges.breakable(evil),
        badges.dated(evil, before(seconds=1), NOW),
    ]

    assert not [mark for mark in marks if "<script" in mark]


def test_a_long_path_may_break_but_is_copied_whole() -> None:
    mark = badges.breakable("/srv/pg data/o'rphan")

    assert mark.count("<wbr>") >= 3
    assert mark.replace("<wbr>", "").endswith("/srv/pg data/o&#x27;rphan</code>")
