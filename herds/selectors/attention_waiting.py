"""What waits for a person: a worker, operations to resume, hosts to place."""

from __future__ import annotations

from django.db.models import Count

from herds.domain.states import OperationState
from herds.domain.words import counted
from herds.models import Discovery, Operation, Server

from .attention_lines import Help, Line, Section, in_total, with_environment
from .operations import workers_alive
from .trouble import Kind


def no_worker() -> Section:
    lines: tuple[Line, ...] = ()
    if not workers_alive().exists():
        lines = (
            Line(
                kind=Kind.NO_WORKER,
                words="No worker is running: what is asked for waits, and nothing is "
                "looked at. Start one with python manage.py worker.",
                model="worker",
                pk=0,
            ),
        )
    return Section(kind=Kind.NO_WORKER, lines=lines, total=len(lines))


def interrupted(most: int) -> Section:
    found = list(
        Operation.objects.filter(state=OperationState.INTERRUPTED)
        .annotate(total=in_total())
        .order_by("pk")[:most]
    )
    lines = [
        Line(
            kind=Kind.INTERRUPTED,
            words=f"Operation {each.pk} ({each.headline}) was interrupted: resume it.",
            model="operation",
            pk=each.pk,
            since=each.finished_at,
            helps=(
                Help(action="resume", model="operation", pk=each.pk, of=each.action),
            ),
        )
        for each in found
    ]
    return Section(
        kind=Kind.INTERRUPTED,
        lines=tuple(lines),
        total=found[0].total if found else 0,
    )


def hosts_to_place(most: int) -> Section:
    found = list(
        Server.objects.filter(environment__isnull=True, discovered_at__isnull=False)
        .annotate(total=in_total(), found=Count("discoveries"))
        .order_by("hostname")[:most]
    )
    lines = [
        Line(
            kind=Kind.HOST_TO_PLACE,
            words=f"{each.hostname} was reported by its agent and belongs to no "
            "environment yet"
            + (
                f"; {counted(each.found, 'instance')}"
                f" on it {'waits' if each.found == 1 else 'wait'}."
                if each.found
                else "."
            ),
            model="server",
            pk=each.pk,
            since=each.discovered_at,
            seen_at=each.reported_at,
            helps=(Help(action="place", model="server", pk=each.pk),),
        )
        for each in found
    ]
    return Section(
        kind=Kind.HOST_TO_PLACE,
        lines=tuple(lines),
        total=found[0].total if found else 0,
    )


def instances_to_place(most: int) -> Section:
    found = list(
        Discovery.objects.select_related("server__environment")
        .annotate(total=in_total())
        .order_by("server__hostname", "db_port", "pk")[:most]
    )
    lines = []
    for each in found:
        home = each.server.environment
        environment = home.env_name if home else ""
        host = with_environment(each.server.hostname, environment)
        lines.append(
            Line(
                kind=Kind.INSTANCE_TO_PLACE,
                words=f"{host}: {each.base_name}, port {each.db_port}, was found and "
                f"belongs to no herd yet. {each.why}".strip(),
                model="discovery",
                pk=each.pk,
                environment=environment,
                since=each.first_seen_at,
                seen_at=each.last_seen_at,
                helps=(Help(action="place", model="discovery", pk=each.pk),),
            )
        )
    return Section(
        kind=Kind.INSTANCE_TO_PLACE,
        lines=tuple(lines),
        total=found[0].total if found else 0,
    )
