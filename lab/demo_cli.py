"""The commands demo, demo-up and demo-down of ``python -m lab``."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import NoReturn

from lab import prerequisites
from lab.demo import Demo
from lab.lab import Lab


def say(sentence: str) -> None:
    """Say what is going on, apart from what the command is to print."""
    print(sentence, file=sys.stderr, flush=True)


def run_up(chosen: argparse.Namespace) -> int:
    """Bring the demonstration up and leave it running."""
    prerequisites.require()
    demo = Demo(Lab(chosen.name), say)
    demo.up(chosen.port)
    print(demo.summary())
    say("Take it down with: make demo-down (or python -m lab demo-down)")
    return 0


def run_down(chosen: argparse.Namespace) -> int:
    """Take the demonstration down with its lab."""
    prerequisites.require_root()
    if Lab(chosen.name).down():
        say("The demonstration is gone: processes ended, files deleted.")
    else:
        say("The demonstration is not up; there is nothing to take down.")
    return 0


def run(chosen: argparse.Namespace) -> int:
    """Run the demonstration until somebody ends it, then take everything down."""
    prerequisites.require()
    lab = Lab(chosen.name)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        demo = Demo(lab, say)
        demo.up(chosen.port)
        print(demo.summary(), flush=True)
        say("Ctrl-C takes everything down.")
        demo.watch()
        status = 1
    except KeyboardInterrupt:
        status = 0
    finally:
        say("Taking the demonstration down.")
        lab.down()
    return status


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
