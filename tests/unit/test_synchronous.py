"""``synchronous_standby_names`` in all its forms, and who satisfies it."""

from __future__ import annotations

import pytest

from herds.domain.synchronous import read_synchronous, satisfiable


@pytest.mark.parametrize(
    ("setting", "number", "names"),
    [
        ("", 0, []),
        ("  ", 0, []),
        ("s1", 1, ["s1"]),
        ("s1, s2", 1, ["s1", "s2"]),
        ("FIRST 2 (s1, s2, s3)", 2, ["s1", "s2", "s3"]),
        ("any 1 (s1,s2)", 1, ["s1", "s2"]),
        ("2 (s1, s2)", 2, ["s1", "s2"]),
        ('"s 1", "s""2"', 1, ["s 1", 's"2']),
        ("*", 1, ["*"]),
        ("ANY 2 (*)", 2, ["*"]),
    ],
)
def test_every_form_is_read(setting: str, number: int, names: list[str]) -> None:
    assert read_synchronous(setting) == (number, names)


@pytest.mark.parametrize(
    ("setting", "standbys", "answer"),
    [
        ("", [], True),
        ("s1", ["s1"], True),
        ("S1", ["s1"], True),
        ("s1", ["s2"], False),
        ("s1, s2", ["s2"], True),
        ("FIRST 2 (s1, s2)", ["s1"], False),
        ("ANY 2 (s1, s2, s3)", ["s1", "s3"], True),
        ("ANY 2 (s1, s1)", ["s1"], False),
        ("*", [], False),
        ("*", ["anybody"], True),
        ("2 (*)", ["anybody"], False),
        ("2 (*)", ["anybody", "else"], True),
    ],
)
def test_commits_return_only_with_enough_standbys(
    setting: str, standbys: list[str], answer: bool
) -> None:
    assert satisfiable(setting, standbys) is answer
