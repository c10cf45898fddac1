"""Runs the demonstration's metadata server: a program for the control host.

``python -m lab.demo_metadata DIRECTORY NETWORK`` makes the server if it is not there,
starts it if it does not run, and leaves it running with the database of the metadata in
it. Agents on hosts of the network log in with the password on standard input.
"""

import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.agents import LOGIN, METADATA_PORT
from lab.demo_settings import DATABASE
from lab.private_server import PrivateServer, ServerFailed

# util_exec is what migrations find or make; they run after this.
_AGENTS = f"""
CREATE ROLE util_exec NOLOGIN;
CREATE ROLE {LOGIN} LOGIN PASSWORD '%s' IN ROLE util_exec;
"""


def serve(directory: Path, network: str, password: str) -> None:
    """Have the server running with its database; ServerFailed says why not.

    ``password`` is that of the agents, made of letters and digits.
    """
    server = PrivateServer(
        directory,
        port=METADATA_PORT,
        shared=True,
        listen="*",
        allow=[network],
        # Nobody knows it: the superuser comes through the socket.
        password=secrets.token_hex(),
        # Shared memory goes with the directory, also when the host loses its power.
        options={"dynamic_shared_memory_type": "mmap"},
    )
    server.start()
    exists = f"SELECT count(*) FROM pg_database WHERE datname = '{DATABASE}'"
    if server.psql(exists) == "0":
        server.psql(f"CREATE DATABASE {DATABASE}")
    exists = f"SELECT count(*) FROM pg_roles WHERE rolname = '{LOGIN}'"
    if server.psql(exists) == "0":
        server.psql(_AGENTS % password)


def main(arguments: Sequence[str]) -> int:
    """Serve from a directory to a network; see the module."""
    directory, network = arguments
    try:
        serve(Path(directory), network, sys.stdin.read().strip())
    except ServerFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
