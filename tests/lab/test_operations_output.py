"""A command that prints more than anybody reads."""

from __future__ import annotations

import re

from herds.models import OperationOutput
from tests.lab.product import Product, said, target

MB = 1024 * 1024
PRINTED = 50 * MB  # on each stream


def _printing(mark: str) -> str:
    """Write a command that prints a mark, 50 MB of a letter, and the mark again."""
    letter = mark[0].lower()
    return (
        f"{{{{ echo {mark} begins; head -c {PRINTED} /dev/zero | tr '\\0' {letter}; "
        f"echo; echo {mark} ends; }}}}"
    )


LOUD_RELOAD = (
    f"{_printing('ERRORS')} >&2 & {_printing('WORDS')}; wait; {{COMMANDS[base]}} reload"
)


def _left_out(text: str) -> int:
    """Read how many bytes are said to be left out."""
    said = re.search(r"\n\[… ([\d,]+) bytes left out …\]\n", text)
    assert said is not None
    return int(said[1].replace(",", ""))


def test_fifty_megabytes_on_both_streams_are_survived_and_their_ends_are_kept(
    plain: Product,
) -> None:
    with plain.worker(COMMANDS=plain.commands(reload=LOUD_RELOAD)) as worker:
        plain.do("refresh", "quote")
        before = worker.peak_memory()

        operation = plain.do("reload", "quote@ele04", seconds=60)

        grown = worker.peak_memory() - before
    assert operation.state == "succeeded", said(operation)
    assert grown < 20 * MB, f"{grown / MB:.1f} MB more than before"
    step = target(operation, "quote@ele04").steps.get(name="reload")
    assert step.exit_status == 0
    printed = {
        stream: "".join(
            OperationOutput.objects.filter(step=step, stream=stream)
            .order_by("number")
            .values_list("text", flat=True)
        )
        for stream in ("stdout", "stderr")
    }
    for stream, mark in (("stdout", "WORDS"), ("stderr", "ERRORS")):
        text = printed[stream]
        assert text.startswith(f"{mark} begins\n{mark[0].lower() * 1000}"), text[:99]
        assert f"{mark[0].lower() * 1000}\n{mark} ends" in text, text[-99:]
        assert _left_out(text) > PRINTED - 200_000
        assert len(text) < 200_000
    assert printed["stdout"].endswith("server signaled")
