"""Serve the admin with a made-up inventory on a private metadata server, to look at.

    python -m tests.browser.site [--port 8123] [--large]

Logins: admin / admin may everything, viewer / viewer may look. Ends with Ctrl-C or
SIGTERM and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

PUBLIC_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampleEx "
    "elephaas"
)


def main() -> None:
    """Make the server, the tables and the rows, and serve them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--large", action="store_true", help="10,000 instances")
    options = parser.parse_args()

    from lab.private_server import PrivateServer

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    directory = Path(tempfile.mkdtemp(prefix="elephaas-site-"))
    server = PrivateServer(directory, durable=False, dies_with_parent=True)
    try:
        server.start()
        set_up(server.directory, server.port, server.superuser)
        fill(large=options.large)
        serve(options.port)
    finally:
        server.destroy()
        shutil.rmtree(directory, ignore_errors=True)


def set_up(host: Path, port: int, user: str) -> None:
    """Lead Django to the metadata server and make the tables there."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django
    from django.conf import settings

    settings.DATABASES["default"].update(
        NAME="postgres", HOST=str(host), PORT=str(port), USER=user
    )
    settings.DEBUG = True
    settings.PUBLIC_KEY = PUBLIC_KEY
    django.setup()

    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def fill(*, large: bool) -> None:
    """Make the people and the inventory."""
    from django.contrib.auth.models import Permission, User

    from tests.browser import fleet

    User.objects.create_superuser("admin", password="admin")
    viewer = User.objects.create_user("viewer", password="viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    if large:
        fleet.build_large()
    else:
        fleet.build_small()


def serve(port: int) -> None:
    """Serve until interrupted, several requests at once."""
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.servers.basehttp import get_internal_wsgi_application, run

    print(f"http://localhost:{port}/admin/", flush=True)
    run(
        "127.0.0.1",
        port,
        StaticFilesHandler(get_internal_wsgi_application()),
        threading=True,
    )


if __name__ == "__main__":
    main()
