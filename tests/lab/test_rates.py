"""A copy that was made is what the next plan goes by."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.product import Product, target
from tests.lab.rebuilds import SETTINGS, Parted


@pytest.fixture(scope="module", autouse=True)
def worker(plain_herds: Product) -> Iterator[None]:
    with plain_herds.worker(**SETTINGS):
        yield


@pytest.mark.parametrize("method", ["rsync", "basebackup"])
def test_the_next_plan_goes_by_what_was_measured(quote: Parted, method: str) -> None:
    quote.part(fresh=32)
    copied = quote.rebuild(method=method)
    quote.succeeded(copied, checksums=False)
    step = quote.step(copied, "copy")
    assert step.evidence["way"] == method
    assert step.evidence["source"] == quote.new
    measured = step.evidence["bytes_copied"] / step.evidence["copy_seconds"] / 1e6

    (choice,) = [
        choice
        for choice in target(quote.plan(), quote.target).plan["choices"]
        if choice["name"] == "method"
    ]

    (label,) = [each["label"] for each in choice["options"] if each["value"] == method]
    said = re.search(r"at ([\d.]+) (.B)/s \(measured \d+ s ago from (\w+)\)$", label)
    assert said, label
    unit = {"kB": 1e-3, "MB": 1.0, "GB": 1e3}[said[2]]
    assert float(said[1]) * unit == pytest.approx(measured, rel=0.1)
    assert said[3] == quote.new


def test_what_a_rewind_of_a_running_primary_brings_is_foreseen(quote: Parted) -> None:
    quote.part(fresh=0, stop=False)

    plan = target(quote.plan(), quote.target).plan

    (choice,) = [each for each in plan["choices"] if each["name"] == "method"]
    (label,) = [
        each["label"] for each in choice["options"] if each["value"] == "rewind"
    ]
    said = re.search(r"about ([\d.]+) (.B),", label)
    assert said, label
    foreseen = float(said[1]) * {"kB": 1e3, "MB": 1e6, "GB": 1e9}[said[2]]
    rewound = quote.rebuild(method="rewind")
    quote.succeeded(rewound, checksums=False)
    brought = quote.step(rewound, "rewind").evidence["bytes_copied"]
    assert brought / 2 < foreseen < brought * 2
