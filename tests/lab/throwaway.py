"""Labs that are made for tests and end with them; strays of killed runs end too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Lab, Layout
from lab.state import lab_names


@contextmanager
def throwaway_lab(
    prefix: str, layout: Layout | None = None, purpose: str = ""
) -> Iterator[Lab]:
    """Have a lab that belongs to this process; who may not make one is skipped.

    Args:
        prefix: what the names of such labs begin with; the process number follows.
        layout: its hosts and herds; None leaves it to the caller to bring it up.
        purpose: tells it from others of the same prefix and process.
    """
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    _take_down_strays(prefix)
    lab = Lab(f"{prefix}{os.getpid()}" + (f"-{purpose}" if purpose else ""))
    try:
        if layout is not None:
            lab.up(layout)
        yield lab
    finally:
        lab.down()


def _take_down_strays(prefix: str) -> None:
    """End labs of earlier runs that were killed."""
    for name in lab_names():
        owned = re.fullmatch(rf"{re.escape(prefix)}(\d+)(-.*)?", name)
        if owned and not Path(f"/proc/{owned[1]}").exists():
            Lab(name).down()
