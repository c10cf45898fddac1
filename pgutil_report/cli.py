"""The command ``pgutil_report``: options, who it runs as, what it says, its status."""

from __future__ import annotations

import argparse
import json
import os
import pwd
import random
import signal
import sys
import threading
from collections.abc import Sequence

from pgutil_report import config, look, news, rounds, state
from pgutil_report.values import Answer

DONE = 0
UNTOLD = 1
WRONG = 2
PARTLY_SEEN = 3

_DESCRIPTION = """\
Finds the PostgreSQL instances of this host, and reports them to ElepHaaS: what changed,
and that it still looks. Without an option it goes on doing so."""

_EPILOG = """\
exit status: 0 all is reported; 1 the metadata database was away or did not take
something, which is reported by the next run; 2 the configuration or the state file
cannot be used; 3 all is reported, but some instance could not be looked at in full"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="pgutil_report", description=_DESCRIPTION, epilog=_EPILOG
    )
    made.add_argument(
        "--config",
        metavar="FILE",
        help=f"the configuration (default {config.DEFAULT_PATH})",
    )
    made.add_argument("--once", action="store_true", help="report once, then end")
    made.add_argument(
        "--dry-run", action="store_true", help="only say what would be reported"
    )
    made.add_argument(
        "--json",
        action="store_true",
        help="print what was found as a list; without --once nothing is reported",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    chosen = parser().parse_args(arguments)
    looks_only = chosen.dry_run or (chosen.json and not chosen.once)
    try:
        settings = config.load(
            chosen.config or config.DEFAULT_PATH,
            required=bool(chosen.config) or not looks_only,
        )
        if settings.upstream is None and not looks_only:
            raise config.WrongConfiguration(
                f"{chosen.config or config.DEFAULT_PATH} has no section [upstream] "
                "that says where the metadata database is."
            )
        _load_driver()
        _become(settings.os_user)
        turn = _round(settings)
        if looks_only:
            return _look(turn, settings, as_json=chosen.json)
        if chosen.once:
            return _once(turn, settings, as_json=chosen.json)
        return _go_on(turn, settings)
    except (config.WrongConfiguration, state.Unsafe) as error:
        _complain(str(error))
        return WRONG
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _complain(sentence: str) -> None:
    print(f"pgutil_report: {sentence}", file=sys.stderr, flush=True)


def _become(user: str) -> None:
    """Be the owner of the instances where root started us: root needs no rights here.

    Raises:
        WrongConfiguration: when there is no such user.
    """
    if os.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise config.WrongConfiguration(
            f"There is no user {user} on this host. Name the owner of the instances as "
            "os_user in [report]."
        ) from None
    if entry.pw_uid == 0:
        raise config.WrongConfiguration("os_user in [report] cannot be root.")
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ.update(HOME=entry.pw_dir, USER=user, LOGNAME=user)
    os.environ.pop("XDG_STATE_HOME", None)
    os.umask(0o077)


def _load_driver() -> None:
    """Have psycopg2 loaded, and all of ours: later we may not be able to read it.

    Raises:
        WrongConfiguration: when there is no psycopg2.
    """
    try:
        from pgutil_report import database, server, upstream  # noqa: F401
    except ImportError as error:
        raise config.WrongConfiguration(
            f"Python has no psycopg2 here ({error}). Install the package "
            "python3-psycopg2."
        ) from None


def _round(settings: config.Config) -> rounds.Round:
    """Put the parts together."""
    from pgutil_report import database, server, upstream

    # libpq heeds these; where a report goes is said in one place only.
    for name in [name for name in os.environ if name.startswith("PG")]:
        if name not in ("PGPASSFILE", "PGSSLROOTCERT"):
            del os.environ[name]

    def ask(directory: str, host: str, port: int) -> Answer:
        return server.ask(
            directory,
            host,
            port,
            settings.instance_user,
            settings.instance_database,
            settings.timeout,
        )

    looker = look.Looker(
        host=settings.host_name,
        ask=ask,
        explain=database.words,
        is_silence=lambda error: isinstance(error, database.TooSlow),
        names=settings.names,
    )
    return rounds.Round(
        settings,
        looker,
        lambda target: upstream.Metadata(target, settings.timeout),
        upstream.Away,
        upstream.Refused,
        settings.state_file or state.default_path(),
    )


def _status(outcome: rounds.Outcome) -> int:
    """Say what went wrong; return the exit status for it."""
    for sentence in (*outcome.troubles, *outcome.untold):
        _complain(sentence)
    if outcome.untold:
        return UNTOLD
    return PARTLY_SEEN if outcome.troubles else DONE


def _print_json(outcome: rounds.Outcome, host: str) -> None:
    found = [instance.as_json(host) for instance in outcome.instances]
    print(json.dumps(found, indent=2))


def _look(turn: rounds.Round, settings: config.Config, *, as_json: bool) -> int:
    outcome = turn.look()
    if as_json:
        _print_json(outcome, settings.host_name)
    else:
        told = outcome.told
        for report in told:
            print(as_call(report, settings.host_name))
        print(
            f"{len(outcome.instances)} found, {len(told)} would be reported; "
            "nothing was sent."
        )
    return _status(outcome)


def as_call(report: news.Report, host: str) -> str:
    """Return a report as the SQL that it is."""
    named = ", ".join(
        f"{key} => {_literal(value)}" for key, value in report.arguments(host).items()
    )
    return f"sp_instance_checkin({named})  -- {report.why}"


def _literal(value: object) -> str:
    if isinstance(value, str):
        # What is no UTF-8 in a path cannot be printed everywhere.
        shown = value.encode("utf-8", "backslashreplace").decode()
        return "'" + shown.replace("'", "''") + "'"
    return str(value).lower()


def _once(turn: rounds.Round, settings: config.Config, *, as_json: bool) -> int:
    outcome = turn.run()
    if as_json:
        _print_json(outcome, settings.host_name)
    return _status(outcome)


def _go_on(turn: rounds.Round, settings: config.Config) -> int:
    """Report until somebody ends it; say what is wrong when that changes."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    said: list[str] = []
    # Thousands of hosts that were started by one command shall not speak as one.
    pause = random.uniform(0, min(settings.interval, 5.0))  # noqa: S311
    while not ended.wait(pause):
        pause = settings.interval
        wrong = _wrong(turn)
        for sentence in wrong:
            if sentence not in said:
                _complain(sentence)
        if said and not wrong:
            _complain("All is well again.")
        said = wrong
    return DONE


def _wrong(turn: rounds.Round) -> list[str]:
    """Make a round; return what is wrong. Nothing that goes wrong in it ends us."""
    try:
        outcome = turn.run()
    except state.Unsafe as error:
        return [str(error)]
    except Exception as error:
        return [f"A round failed with {type(error).__name__}: {error}"]
    return [*outcome.troubles, *outcome.untold]
