"""Runs the demonstration's metadata server: a program for the control host.

``python -m lab.demo_metadata DIRECTORY`` makes the server if it is not there, starts it
if it does not run, and leaves it running with the database of the metadata in it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from lab.demo_settings import DATABASE
from lab.private_server import PrivateServer, ServerFailed


def serve(directory: Path) -> None:
    """Have the server running with its database; ServerFailed says why not."""
    server = PrivateServer(
        directory,
        shared=True,
        # Shared memory goes with the directory, also when the host loses its power.
        options={"dynamic_shared_memory_type": "mmap"},
    )
    server.start()
    exists = f"SELECT count(*) FROM pg_database WHERE datname = '{DATABASE}'"
    if server.psql(exists) == "0":
        server.psql(f"CREATE DATABASE {DATABASE}")


def main(arguments: Sequence[str]) -> int:
    """Serve from the directory that the one argument names."""
    (directory,) = arguments
    try:
        serve(Path(directory))
    except ServerFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
