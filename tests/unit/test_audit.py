"""Reads what the audit of the dependencies says."""

from __future__ import annotations

import json

from tools.audit import read


def told(*dependencies: dict[str, object]) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_a_known_weakness_is_named_with_its_remedy() -> None:
    weak = {"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": [], "description": ""}

    found = read(
        told(
            {"name": "fine", "version": "1.0", "vulns": []},
            {"name": "weak", "version": "2.0", "vulns": [weak]},
        )
    )

    assert found.unsafe == ["weak 2.0: PYSEC-1, mended in 2.1"]
    assert (found.count, found.unasked) == (2, [])


def test_what_nobody_knows_is_no_weakness() -> None:
    found = read(told({"name": "unknown", "skip_reason": "not found"}))

    assert (found.unsafe, found.unasked) == ([], ["unknown"])
