"""Reads /etc/pgutil_report.ini and refuses what is wrong in it, saying why."""

from __future__ import annotations

import configparser
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from pgutil_report import files

DEFAULT_PATH = "/etc/pgutil_report.ini"

_HOST = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_WORD = re.compile(r"[^\x00-\x1f\x7f]{1,255}")

_SECRET = re.compile(r"pass(wd|word|phrase)?$|_pw$|secret|token")

_SSL = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl")

UPSTREAM_KEYS = ("db_host", "db_port", "db_user", "db_name", "db_schema", *_SSL)
REPORT_KEYS = (
    *("host_name", "os_user", "interval", "heartbeat", "position_bytes", "timeout"),
    *("data_roots", "socket_directories", "state_file"),
    *("instance_user", "instance_database"),
)


class WrongConfiguration(Exception):
    """The configuration cannot be used; says what to change."""


@dataclass(frozen=True)
class Upstream:
    """Where the metadata database is. The password stands in ``~/.pgpass``."""

    host: str
    port: int = 5432
    user: str = "pgutil_report"
    name: str = "admin"
    schema: str = "utility"
    ssl: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Return what tells one metadata database from another."""
        return f"{self.user}@{self.host}:{self.port}/{self.name}"


@dataclass(frozen=True)
class Config:
    """What the agent goes by; times are in seconds.

    Attributes:
        upstream: None where the file does not name a metadata database.
        host_name: under which this host is reported.
        os_user: whom the agent becomes when root starts it.
        interval: between two looks.
        heartbeat: after which an instance is reported although nothing changed.
        position_bytes: of WAL after which a position is news.
        timeout: within which an instance, or the metadata database, has to answer.
        names: cluster names by data directory.
    """

    upstream: Upstream | None = None
    host_name: str = ""
    os_user: str = "postgres"
    interval: float = 15.0
    heartbeat: float = 60.0
    position_bytes: int = 16 * 1024 * 1024
    timeout: float = 5.0
    data_roots: tuple[str, ...] = ()
    socket_directories: tuple[str, ...] = ()
    state_file: str = ""
    instance_user: str = ""
    instance_database: str = "postgres"
    names: Mapping[str, str] = field(default_factory=dict)


def load(path: str = DEFAULT_PATH, required: bool = True) -> Config:
    """Return what a file says.

    Without ``required`` a file that is not there says nothing.

    Raises:
        WrongConfiguration: when it cannot be read or used.
    """
    try:
        text = files.read(path)
    except FileNotFoundError:
        if required:
            raise WrongConfiguration(
                f"There is no {path}. Make it, with a section [upstream] that says "
                "where the metadata database is (db_host, db_port, db_user, db_name)."
            ) from None
        text = ""
    except (OSError, ValueError) as error:
        raise WrongConfiguration(f"{path} cannot be read: {error}") from None
    try:
        return parse(text)
    except WrongConfiguration as error:
        raise WrongConfiguration(f"{path}: {error}") from None


def parse(text: str) -> Config:
    """Return what the text of a configuration file says.

    Raises:
        WrongConfiguration: when there is something in it that has no meaning.
    """
    parser = configparser.ConfigParser(
        interpolation=None, delimiters=("=",), default_section="\0", strict=True
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
    except configparser.MissingSectionHeaderError as error:
        raise WrongConfiguration(
            f"line {error.lineno} stands before the first section, [upstream]."
        ) from None
    except configparser.ParsingError as error:
        # The line itself is not shown: it may be a password.
        numbers = ", ".join(str(number) for number, _ in error.errors)
        raise WrongConfiguration(f"line {numbers} is no `name = value`.") from None
    except configparser.Error as error:
        raise WrongConfiguration(" ".join(str(error).split())) from None
    unknown = set(parser.sections()) - {"upstream", "report", "names"}
    if unknown:
        raise WrongConfiguration(
            f"There is no section [{min(unknown)}]; there are [upstream], [report] and "
            "[names]."
        )
    return Config(
        upstream=_upstream(_section(parser, "upstream", UPSTREAM_KEYS)),
        names=_names(parser),
        **_report(_section(parser, "report", REPORT_KEYS)),  # type: ignore[arg-type]
    )


def _section(
    parser: configparser.ConfigParser, name: str, known: tuple[str, ...]
) -> dict[str, str]:
    values = dict(parser[name]) if parser.has_section(name) else {}
    for key in values:
        if key not in known and _SECRET.search(key.lower()):
            raise WrongConfiguration(
                f"[{name}] has {key}: no password belongs in this file. Put it into "
                "~/.pgpass of the user who runs the agent (host:port:database:user:"
                "password, mode 0600), and delete it here."
            )
        if key not in known:
            raise WrongConfiguration(
                f"[{name}] has {key}, which means nothing. It may have: "
                f"{', '.join(known)}."
            )
    return {key: value.strip() for key, value in values.items() if value.strip()}


def _upstream(values: Mapping[str, str]) -> Upstream | None:
    if not values:
        return None
    if "db_host" not in values:
        raise WrongConfiguration(
            "[upstream] needs db_host, the host of the metadata database."
        )
    for key, value in values.items():
        if not _WORD.fullmatch(value):
            raise WrongConfiguration(f"[upstream] {key} is no single line of text.")
    return Upstream(
        host=values["db_host"],
        port=int(_number(values, "upstream", "db_port", 5432, 1, 65535)),
        user=values.get("db_user", Upstream.user),
        name=values.get("db_name", Upstream.name),
        schema=values.get("db_schema", Upstream.schema),
        ssl={key: values[key] for key in _SSL if key in values},
    )


def _report(values: Mapping[str, str]) -> dict[str, object]:
    host = values.get("host_name") or socket.gethostname()
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise WrongConfiguration(
            f"{host!r} is no host name. Say in [report] which host_name this host has."
        )
    found: dict[str, object] = {
        "host_name": host.rstrip(".").lower(),
        "interval": _number(values, "report", "interval", 15, 1, 3600),
        "heartbeat": _number(values, "report", "heartbeat", 60, 1, 86400),
        "timeout": _number(values, "report", "timeout", 5, 1, 60),
        "position_bytes": int(
            _number(values, "report", "position_bytes", 16 << 20, 1, 1 << 50)
        ),
        "data_roots": _paths(values, "data_roots"),
        "socket_directories": _paths(values, "socket_directories"),
    }
    for key in ("os_user", "instance_user", "instance_database"):
        if key in values:
            found[key] = values[key]
    if "state_file" in values:
        (found["state_file"],) = _paths(values, "state_file") or ("",)
    return found


def _number(
    values: Mapping[str, str],
    section: str,
    key: str,
    default: float,
    least: int,
    most: int,
) -> float:
    told = values.get(key, "")
    if not told:
        return float(default)
    try:
        number = float(told)
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise WrongConfiguration(
            f"[{section}] {key} is a number from {least} to {most}, not {told!r}."
        )
    return number


def _paths(values: Mapping[str, str], key: str) -> tuple[str, ...]:
    """Return the paths of a setting, one a line."""
    found = tuple(
        line.strip() for line in values.get(key, "").splitlines() if line.strip()
    )
    for path in found:
        if not path.startswith("/") or not _WORD.fullmatch(path):
            raise WrongConfiguration(
                f"[report] {key} holds absolute paths, one a line, not {path!r}."
            )
    if key == "state_file" and len(found) > 1:
        raise WrongConfiguration("[report] state_file is one path.")
    if len(found) > 100:
        raise WrongConfiguration(f"[report] {key} has more than 100 lines.")
    return found


def _names(parser: configparser.ConfigParser) -> dict[str, str]:
    found = dict(parser["names"]) if parser.has_section("names") else {}
    for path, name in found.items():
        if not path.startswith("/"):
            raise WrongConfiguration(
                f"[names] has {path!r}: write /path/of/the/data = cluster_name."
            )
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", name):
            raise WrongConfiguration(
                f"[names] {path}: a cluster name has letters, digits, '_', '.' and "
                f"'-', 63 at most; {name!r} is none."
            )
    return found
