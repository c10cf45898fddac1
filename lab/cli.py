"""Reads ``python -m lab …``, does it, and says what was done."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, get_args

from lab import access, clusters, demo_cli, majors, prerequisites
from lab.errors import LabError
from lab.lab import DOMAIN, Lab
from lab.layout import (
    Layout,
    Packaging,
    adjust,
    default_layout,
    layout_from_json,
)
from lab.state import DEFAULT_NAME, lab_names

DEFAULT_HOSTS = 12

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def main(arguments: Sequence[str]) -> int:
    """Run one command; return its exit status, 1 when it says why on standard error."""
    own, others = split(arguments)
    chosen = _parser().parse_args(own)
    chosen.others = others
    try:
        status: int = chosen.run(chosen)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return status


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part our own arguments from those of the command that is to be run.

    Those begin behind ``--``, or directly behind ``manage``.
    """
    previous = ""
    for index, word in enumerate(arguments):
        if word == "--":
            return list(arguments[:index]), list(arguments[index + 1 :])
        if word == "manage" and previous != "--name":
            return list(arguments[: index + 1]), list(arguments[index + 1 :])
        previous = word
    return list(arguments), []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description="A data centre on this machine, made of Linux namespaces.",
    )
    parser.add_argument(
        "--name",
        default=os.environ.get("LAB_NAME", DEFAULT_NAME),
        help="which lab; several can be up at once (default: $LAB_NAME or %(default)s)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_up(commands)
    _add(commands, "down", _down, "end every process of the lab and delete its files")
    shown = _add(commands, "status", _status, "say what is up and who is primary")
    shown.add_argument("--json", action="store_true", help="as one JSON object")
    _add(commands, "list", _list, "say which labs there are")
    _add(commands, "majors", _majors, "install the majors of PostgreSQL, and list them")
    _add_running(commands)
    _add_breaking(commands)
    _add_demo(commands)
    return parser


def _add(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int], words: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=words, description=f"{name}: {words}.")
    parser.set_defaults(run=run)
    return parser


def _add_up(commands: Commands) -> None:
    up = _add(commands, "up", _up, "make the lab, unless it is there")
    up.add_argument("hosts", nargs="?", type=int, metavar="N", help="database hosts")
    up.add_argument(
        "--herds",
        metavar="JSON",
        help="the herds: a JSON list, or a file with one; each has name and members, "
        "and can have environment, port, data_root, packaging and version",
    )
    up.add_argument("--per-host", type=int, metavar="K", help="instances on every host")
    up.add_argument(
        "--data-root",
        action="append",
        default=[],
        metavar="HERD=PATH",
        help="another data directory for one of the herds",
    )
    up.add_argument(
        "--packaging",
        action="append",
        default=[],
        metavar="HERD=KIND",
        help=f"how a herd's clusters are kept: {' or '.join(get_args(Packaging))}",
    )
    up.add_argument("--domain", default=DOMAIN, help="DNS zone (default: %(default)s)")
    up.add_argument(
        "--postgres",
        metavar="VERSION",
        help="major version of herds that name none (Debian's newest)",
    )


def _add_running(commands: Commands) -> None:
    run = _add(commands, "exec", _exec, "run a command on a host")
    run.add_argument("host", metavar="HOST")
    run.add_argument("-u", "--user", default="root", help="as whom (%(default)s)")
    run.add_argument("words", nargs="*", metavar="-- CMD", help="what to run")
    ssh = _add(commands, "ssh", _ssh, "log in from the control host as postgres")
    ssh.add_argument("host", metavar="HOST")
    ssh.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD")
    _add(commands, "manage", _manage, "run manage.py on the control host")


def _add_breaking(commands: Commands) -> None:
    for name, run, words in (
        ("kill", _kill, "power a host off without any goodbye"),
        ("boot", _boot, "power a host on"),
        ("cut", _cut, "cut a running host off the network"),
    ):
        _add(commands, name, run, words).add_argument("host", metavar="HOST")
    heal = _add(
        commands, "heal", _heal, "undo cut and partition, everywhere or for some"
    )
    heal.add_argument("hosts", nargs="*", metavar="HOST")
    part = _add(commands, "partition", _partition, "let no packet pass between groups")
    part.add_argument("left", metavar="A,B")
    part.add_argument("right", metavar="C,D")


def _add_demo(commands: Commands) -> None:
    for name, run, words in (
        ("demo", demo_cli.run, "run ElepHaaS on the lab until Ctrl-C"),
        ("demo-up", demo_cli.run_up, "start ElepHaaS on the lab, in the background"),
    ):
        demo = _add(commands, name, run, words)
        demo.add_argument("--port", type=int, help="the page's (first free from 8000)")
    _add(commands, "demo-down", demo_cli.run_down, "end ElepHaaS and the lab under it")


def _lab(chosen: argparse.Namespace) -> Lab:
    return Lab(chosen.name)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _up(chosen: argparse.Namespace) -> int:
    prerequisites.require()
    lab = _lab(chosen)
    if not lab.up(
        _layout(chosen), say=_say, domain=chosen.domain, postgres=chosen.postgres
    ):
        count = len(lab.state.database_hosts)
        _say(f"Lab {lab.name} is up already, with {count} database hosts.")
        if chosen.hosts not in (None, count):
            _say(f"Take it down first to have {chosen.hosts}.")
            return 1
    print(lab.describe())
    return 0


def _layout(chosen: argparse.Namespace) -> Layout:
    version = prerequisites.choose_postgres(chosen.postgres)
    count = DEFAULT_HOSTS if chosen.hosts is None else chosen.hosts
    if chosen.herds is None:
        layout = default_layout(count, version, chosen.per_host)
    else:
        text = chosen.herds
        if not text.lstrip().startswith("["):
            text = _read(Path(text))
        layout = layout_from_json(text, count, version)
    return adjust(layout, _pairs(chosen.data_root), _pairs(chosen.packaging))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise LabError(
            f"The herds cannot be read from {path}: {error.strerror}."
        ) from (error)


def _pairs(words: list[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        herd, separator, value = word.partition("=")
        if not separator:
            raise LabError(f"{word!r} is not HERD=VALUE.")
        pairs[herd] = value
    return pairs


def _down(chosen: argparse.Namespace) -> int:
    prerequisites.require_root()
    lab = _lab(chosen)
    if lab.down():
        _say(
            f"Lab {lab.name} is gone: its processes have ended, its files are deleted."
        )
    else:
        _say(f"There is no lab {lab.name}; nothing to take down.")
    return 0


def _status(chosen: argparse.Namespace) -> int:
    lab = _lab(chosen)
    print(json.dumps(lab.status(), indent=2) if chosen.json else lab.describe())
    return 0


def _list(_chosen: argparse.Namespace) -> int:
    for name in lab_names():
        lab = Lab(name)
        print(
            lab.describe().splitlines()[0] if lab.exists() else f"Lab {name}, in parts"
        )
    return 0


def _majors(_chosen: argparse.Namespace) -> int:
    try:
        majors.install(_say)
    finally:
        print(majors.describe())
    return 0


def _exec(chosen: argparse.Namespace) -> int:
    argv = chosen.words + chosen.others
    if not argv:
        raise LabError("Say what to run: exec HOST [-u USER] -- CMD…")
    init = access.init_of(_lab(chosen).state, chosen.host)
    _become(access.entering(init, argv, user=chosen.user))


def _ssh(chosen: argparse.Namespace) -> int:
    lab = _lab(chosen)
    access.init_of(lab.state, chosen.host)
    words = [*chosen.words, *chosen.others]
    login = ["ssh", "-i", str(lab.ssh_key), "-o", "IdentitiesOnly=yes"]
    login += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
    _become(lab.control.command([*login, f"{clusters.OWNER}@{chosen.host}", *words]))


def _manage(chosen: argparse.Namespace) -> int:
    _become(_lab(chosen).control.manage_command(chosen.others))


def _become(command: list[str]) -> NoReturn:
    """Replace this process: terminal, signals and status are then the command's."""
    sys.stdout.flush()
    os.execvp(command[0], command)


def _kill(chosen: argparse.Namespace) -> int:
    was_on = _lab(chosen).kill(chosen.host)
    _say(f"{chosen.host} is off." if was_on else f"{chosen.host} was off already.")
    return 0


def _boot(chosen: argparse.Namespace) -> int:
    was_off = _lab(chosen).boot(chosen.host)
    _say(f"{chosen.host} is up." if was_off else f"{chosen.host} was up already.")
    return 0


def _cut(chosen: argparse.Namespace) -> int:
    _lab(chosen).cut(chosen.host)
    _say(f"{chosen.host} is cut off. Undo with: heal {chosen.host}")
    return 0


def _heal(chosen: argparse.Namespace) -> int:
    _lab(chosen).heal(*chosen.hosts)
    _say(f"{' '.join(chosen.hosts) or 'Every running host'}: the network is whole.")
    return 0


def _partition(chosen: argparse.Namespace) -> int:
    left, right = chosen.left.split(","), chosen.right.split(",")
    _lab(chosen).partition(left, right)
    _say(f"No packet passes between {chosen.left} and {chosen.right}. Undo with: heal")
    return 0
