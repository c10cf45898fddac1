"""A worker in a process of its own, on clusters in files: ``… DATABASE DIRECTORY``.

The metadata server is found by PGHOST, PGPORT and PGUSER.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Work until told to end."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django
    from django.conf import settings

    database, directory = sys.argv[1:]
    settings.DATABASES["default"]["NAME"] = database
    django.setup()

    from herds.operations.worker import WorkerProcess
    from tests.doubles.filed_fleet import FiledFleet

    WorkerProcess(threads=4, toolbox=FiledFleet(Path(directory))).run()  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
