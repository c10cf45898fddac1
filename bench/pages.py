"""Pages with 10,000 instances against the same pages with 100."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.figures import Limit, Report, Spread
from lab.private_server import PrivateServer

PROJECT = Path(__file__).resolve().parent.parent
SIZES = {"100 instances": (10, 10), "10,000 instances": (1000, 10)}
"""Herds and members of each. A list shows a hundred rows a page at most."""

WANTED = 3.0
TOKEN = "only-for-this-measurement"
PAGES = {
    "front page": "/admin/",
    "its poll": "/admin/front/",
    "environments": "/admin/herds/environment/",
    "herds": "/admin/herds/herd/",
    "servers": "/admin/herds/server/",
    "instances": "/admin/herds/instance/",
    "disaster recovery pairs": "/admin/herds/disasterrecovery/",
    "operations": "/admin/herds/operation/",
    "metrics": "/metrics",
}

_SETTINGS = """\
DEBUG = False
SECRET_KEY = "bench"
ALLOWED_HOSTS = ["testserver"]
DATABASES = {{
    "default": {{
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "admin",
        "HOST": {socket_directory!r},
        "USER": {user!r},
        "OPTIONS": {{"options": "-c search_path=utility"}},
    }}
}}
METRICS = {{"TOKEN": {token!r}}}
STORAGES = {{
    "default": {{"BACKEND": "django.core.files.storage.InMemoryStorage"}},
    "staticfiles": {{
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
    }},
}}
"""


def measure(report: Report, *, rounds: int) -> None:
    """Add every page's server time in both sizes, and how they compare.

    A page that asks more queries in the larger fleet is a failure.
    """
    with _site():
        taken: dict[str, dict[str, tuple[list[float], int]]] = {}
        for size, (herds, members) in SIZES.items():
            _fill(herds, members)
            taken[size] = {name: _visit(url, rounds) for name, url in PAGES.items()}
    small, large = taken.values()
    for name in PAGES:
        report.spreads += [
            Spread(
                name=size, figure=f"{name}, ms", unit="ms", values=taken[size][name][0]
            )
            for size in SIZES
        ]
        # The least, because whatever else the machine does only adds to it.
        ratio = min(large[name][0]) / min(small[name][0])
        report.limits.append(
            Limit(
                name=f"{name}, 10,000 instances against 100",
                value=ratio,
                unit="times",
                bound=WANTED,
            )
        )
        if large[name][1] != small[name][1]:
            report.failures.append(
                f"{name} asks {small[name][1]} queries with 100 instances and "
                f"{large[name][1]} with 10,000"
            )


def _visit(url: str, rounds: int) -> tuple[list[float], int]:
    """Return what a page took, in milliseconds, and its number of queries."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(
        headers={"HX-Request": "true", "Authorization": f"Bearer {TOKEN}"}
        if url in {"/metrics", "/admin/front/"}
        else None
    )
    client.force_login(User.objects.get(), "django.contrib.auth.backends.ModelBackend")
    for _ in range(3):
        answer = client.get(url, secure=True)
        if answer.status_code != 200:
            raise RuntimeError(f"{url} answers {answer.status_code}")
    values = []
    for _ in range(rounds):
        begin = time.perf_counter()
        client.get(url, secure=True)
        values.append(1000 * (time.perf_counter() - begin))
    with CaptureQueriesContext(connection) as asked:
        client.get(url, secure=True)
    return values, len(asked)


def _fill(herds: int, members: int) -> None:
    """Make a fleet with a little of everything wrong, in place of the one before."""
    from django.db import connection
    from django.utils import timezone

    from herds.models import Environment, Herd, Instance, Operation, Server, Worker

    for model in (Instance, Herd, Server, Environment, Operation, Worker):
        model.objects.all().delete()
    now = timezone.now()
    homes = [
        Environment.objects.create(env_name=name) for name in ("dev", "stage", "prod")
    ]
    servers = Server.objects.bulk_create(
        Server(hostname=f"host{n:05}", environment=homes[n % 3]) for n in range(herds)
    )
    made = Herd.objects.bulk_create(
        Herd(
            herd_name=f"herd{n:04}",
            base_name="main",
            environment=homes[n % 3],
            db_port=5432 + n % 40,
            pgdata=f"/var/lib/postgresql/15/herd{n:04}",
            vhost=f"herd{n:04}.example.com",
            vhost_seen_at=now,
            vhost_target=f"host{(n + (n % 97 == 0)) % herds:05}",
        )
        for n in range(herds)
    )

    def member(n: int, place: int, upstream: Any) -> Instance:
        number = n * members + place
        return Instance(
            herd=made[n],
            server=servers[(n + 3 * place) % herds],
            master=upstream,
            version="15.4",
            is_online=number % 331 != 0,
            observed_at=now,
            unreachable_since=now if number % 211 == 5 else None,
            timeline=1 + (number % 307 != 7),
            xlog_pos=10**9,
            is_streaming=number % 127 != 8 if upstream else None,
            lag_octets=number % 101 * 680_000 if upstream else None,
            lag_seen_at=now,
            slot_octets=2**31 if number % 401 == 3 else None,
        )

    primaries = Instance.objects.bulk_create(member(n, 0, None) for n in range(herds))
    Instance.objects.bulk_create(
        member(n, place, primaries[n])
        for n in range(herds)
        for place in range(1, members)
    )
    Worker.objects.create(
        hostname="here", pid=1, concurrency=1, heartbeat_at=now + timedelta(days=1)
    )
    Operation.objects.bulk_create(
        Operation(
            action="refresh",
            headline="Refresh 1 instance",
            state="succeeded",
            outcome="All is seen.",
            requested_by_name="anna",
            source="admin",
            expires_at=now,
            confirmed_at=now,
            finished_at=now,
        )
        for _ in range(herds)
    )
    # What was seen stays young while it is measured.
    Instance.objects.update(observed_at=now + timedelta(hours=1))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


@contextmanager
def _site() -> Iterator[None]:
    """Set Django up in this process, on a metadata server of its own."""
    # Short, because the path of a socket is.
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    directory.chmod(0o711)
    server = PrivateServer(directory / "metadata")
    try:
        server.start()
        server.psql("CREATE DATABASE admin")
        settings = directory / "settings.py"
        settings.write_text(
            _SETTINGS.format(
                socket_directory=str(server.directory),
                user=server.superuser,
                token=TOKEN,
            )
        )
        os.environ["ELEPHAAS_SETTINGS_FILE"] = str(settings)
        os.environ["DJANGO_SETTINGS_MODULE"] = "elephaas.settings"
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=PROJECT,
            check=True,
        )
        import django

        django.setup()
        from django.contrib.auth.models import User

        User.objects.create_superuser("anna")
        yield
    finally:
        if "django.db" in sys.modules:
            from django.db import connections

            connections.close_all()
        server.destroy()
        shutil.rmtree(directory, ignore_errors=True)
