"""Installs the agent, pgutil_report, on lab hosts as a package would."""

import shutil
from pathlib import Path

from lab.clusters import OWNER, new_password
from lab.demo_settings import DATABASE
from lab.files import directory, write
from lab.layout import CONTROL
from lab.state import LabState

LOGIN = "pgutil_report"
"""The role by which agents report; ``lab.demo_metadata`` makes it."""

PASSWORD_FILE = "agents.password"
METADATA_PORT = 5432

_SOURCE = Path(__file__).resolve().parent.parent / "pgutil_report"
_COMMAND = "usr/local/bin/pgutil_report"
_LIBRARY = "usr/share/pgutil_report/pgutil_report"

_CONFIGURATION = """\
# Made by the lab. The password stands in ~{owner}/.pgpass.

[upstream]
db_host = {host}
db_port = {port}
db_user = {login}
db_name = {database}
"""


def layer(state: LabState) -> Path:
    """Return the directory that is laid over /usr on every database host."""
    return state.directory / "agent/usr"


def password(state: LabState) -> str:
    """Return the password of the agents' role."""
    return (state.keys / PASSWORD_FILE).read_text().strip()


def make_password(state: LabState) -> None:
    """Choose the password of the agents' role."""
    write(state.keys / PASSWORD_FILE, new_password() + "\n", mode=0o600)


def install(state: LabState, etc: Path) -> None:
    """Write the program, and its configuration into the /etc that hosts share.

    A copy, because a checkout is often closed to the user who owns the instances.
    """
    root = state.directory / "agent"
    for name in (_COMMAND, f"{_LIBRARY}/"):
        parts = Path(name).parts if name.endswith("/") else Path(name).parts[:-1]
        for depth in range(len(parts)):
            # They stand for the machine's own directories and are open as those are.
            directory(root.joinpath(*parts[: depth + 1]))
    for module in _SOURCE.glob("*.py"):
        write(root / _LIBRARY / module.name, module.read_text())
    shutil.copyfile(_SOURCE / "packaging/pgutil_report", root / _COMMAND)
    (root / _COMMAND).chmod(0o755)
    write(
        etc / "pgutil_report.ini",
        _CONFIGURATION.format(
            owner=OWNER,
            host=f"{CONTROL}.{state.domain}",
            port=METADATA_PORT,
            login=LOGIN,
            database=DATABASE,
        ),
    )


def pgpass_line(state: LabState) -> str:
    """Return the line by which ``~/.pgpass`` opens the metadata database."""
    host = f"{CONTROL}.{state.domain}"
    return f"{host}:{METADATA_PORT}:{DATABASE}:{LOGIN}:{password(state)}\n"
