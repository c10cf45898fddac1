"""A made-up inventory with every state in it, for pages to be looked at."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from herds.models import Environment, Herd, Instance, Server

MB = 1024 * 1024
POSITION = 0x5_3A00_0000


def build_small() -> None:
    """Make three environments, six herds and every state an instance can have."""
    now = timezone.now()
    environments = {
        name: Environment.objects.create(env_name=name, env_descr=description)
        for name, description in (
            ("dev", "Anybody may break these."),
            ("stage", "Rehearsals of a release."),
            ("prod", "Customers notice. Announce what you do."),
            ("analytics", "Reports, refreshed every night."),
        )
    }
    members = {
        ("prod", "trade", 5432): ["ele01", "ele02", "ele03", "ele04"],
        ("prod", "quote", 5433): ["ele02", "ele03"],
        ("stage", "trade", 5432): ["ele11", "ele12"],
        ("stage", "a-herd-with-a-rather-long-name", 5439): ["ele11"],
        ("dev", "trade", 5432): ["ele21", "ele22"],
        ("analytics", "reports", 5440): ["ele31"],
    }
    for (environment, name, port), hosts in members.items():
        herd = Herd.objects.create(
            environment=environments[environment],
            herd_name=name,
            base_name=name,
            db_port=port,
            pgdata=f"/var/lib/postgresql/15/{name}",
            vhost=f"{name}.{environment}.example.com",
        )
        primary: Instance | None = None
        for number, host in enumerate(hosts):
            server = Server.objects.get_or_create(
                hostname=host, defaults={"environment": environments[environment]}
            )[0]
            instance = Instance.objects.create(
                herd=herd,
                server=server,
                master=primary,
                version="15.14",
                is_online=True,
                xlog_pos=POSITION - number * 3_355_443,
                observed_at=now - timedelta(seconds=4 + number),
            )
            primary = primary or instance
    Herd.objects.create(
        herd_name="orphan", base_name="orphan", pgdata="/srv/pg data/o'rphan"
    )
    Server.objects.create(hostname="spare", environment=environments["dev"])
    Server.objects.create(hostname="found-by-an-agent")
    _upset(now)


def build_large(herds: int = 1000, members: int = 10) -> None:
    """Make many herds with many members each, spread over a tenth as many hosts."""
    names = ("dev", "stage", "prod")
    environments = [Environment.objects.create(env_name=name) for name in names]
    now = timezone.now()
    servers = Server.objects.bulk_create(
        Server(hostname=f"host{number:05}", environment=environments[number % 3])
        for number in range(max(herds, 3 * members))
    )
    made = Herd.objects.bulk_create(
        Herd(
            herd_name=f"herd{number:04}",
            base_name=f"herd{number:04}",
            environment=environments[number % 3],
            db_port=5432 + number % 40,
            pgdata=f"/var/lib/postgresql/15/herd{number:04}",
            vhost=f"herd{number:04}.example.com",
        )
        for number in range(herds)
    )
    primaries = Instance.objects.bulk_create(
        _instance(herd, servers[number], None, now) for number, herd in enumerate(made)
    )
    Instance.objects.bulk_create(
        _instance(
            herd, servers[(number + 3 * place) % len(servers)], primaries[number], now
        )
        for number, herd in enumerate(made)
        for place in range(1, members)
    )


def _instance(herd, server, upstream, now):  # type: ignore[no-untyped-def]
    return Instance(
        herd=herd,
        server=server,
        master=upstream,
        version=f"{14 + herd.pk % 5}.{server.pk % 7}",
        is_online=server.pk % 50 != 0,
        xlog_pos=POSITION - (server.pk % 97) * MB if upstream else POSITION,
        observed_at=now - timedelta(seconds=server.pk % 240),
        unreachable_since=now if server.pk % 71 == 0 else None,
    )


def _upset(now) -> None:  # type: ignore[no-untyped-def]
    """Let some instances be stopped, unknown, stale, cascading or never seen."""
    trade = Instance.objects.filter(herd__herd_name="trade")
    prod = trade.filter(herd__environment__env_name="prod")
    third = prod.get(server__hostname="ele03")
    prod.filter(server__hostname="ele04").update(master=third)
    prod.filter(server__hostname="ele03").update(
        unreachable_since=now - timedelta(minutes=2),
        observed_at=now - timedelta(minutes=3),
        unreachable_why="ele03 could not be reached over SSH "
        "(connection timed out after 5 s).",
    )
    trade.filter(server__hostname="ele12").update(is_online=False)
    trade.filter(server__hostname__in=["ele21", "ele22"]).update(
        observed_at=now - timedelta(minutes=12)
    )
    Instance.objects.filter(server__hostname="ele31").update(
        observed_at=None, is_online=False, version="", xlog_pos=None
    )
