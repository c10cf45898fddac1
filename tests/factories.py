"""One builder a model, nothing random: what a test does not say is made to fit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.utils import timezone

from herds.admin.operation_pages import UNANSWERED
from herds.domain.states import OperationState, StepState, TargetState
from herds.models import (
    Environment,
    Herd,
    Instance,
    Operation,
    OperationOutput,
    OperationStep,
    OperationTarget,
    Server,
    Worker,
)
from herds.services.lifecycle import facts_of


def environment(name: str = "prod") -> Environment:
    """Give the environment of this name."""
    return Environment.objects.get_or_create(env_name=name)[0]


def herd(name: str = "trade", env: str = "prod", **values: Any) -> Herd:
    """Give the herd of this name and environment; a new one has a port of its own."""
    found = Herd.objects.filter(herd_name=name, environment__env_name=env).first()
    if found is not None:
        return found
    values.setdefault("base_name", name)
    values.setdefault("db_port", 5432 + Herd.objects.count())
    values.setdefault("pgdata", f"/var/lib/postgresql/15/{name}")
    values.setdefault("vhost", f"{name}.lab.test")
    return Herd.objects.create(herd_name=name, environment=environment(env), **values)


def server(name: str = "ele01", env: str = "prod", **values: Any) -> Server:
    """Give the server of this name."""
    found = Server.objects.filter(hostname=name).first()
    if found is not None:
        return found
    return Server.objects.create(hostname=name, environment=environment(env), **values)


def instance(
    herd_name: str = "trade", host: str = "ele01", env: str = "prod", **values: Any
) -> Instance:
    """Make an instance of a herd on a host, of version 15.4 and online."""
    values.setdefault("version", "15.4")
    values.setdefault("is_online", True)
    values.setdefault("observed_at", timezone.now())
    return Instance.objects.create(
        herd=herd(herd_name, env), server=server(host, env), **values
    )


def user(name: str = "anna", *permissions: str, **values: Any) -> User:
    """Make somebody who may log in to the admin, with permissions like herds.x_y."""
    values.setdefault("is_staff", True)
    person = User.objects.create_user(name, password="secret", **values)
    for permission in permissions:
        app, codename = permission.split(".")
        person.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    return person


def worker(**values: Any) -> Worker:
    """Make a worker that gave a sign of life just now."""
    values.setdefault("hostname", "control")
    values.setdefault("pid", 4711)
    values.setdefault("concurrency", 32)
    return Worker.objects.create(**values)


def operation(
    requested_by: User | None = None,
    state: OperationState = OperationState.PLANNED,
    **values: Any,
) -> Operation:
    """Make an operation without targets; one that is no plan was confirmed just now."""
    now = timezone.now()
    values.setdefault("action", "restart")
    values.setdefault("headline", "Restart 2 instances of 1 herd in prod")
    values.setdefault(
        "requested_by_name", requested_by.username if requested_by else "anna"
    )
    values.setdefault("source", "admin")
    values.setdefault("expires_at", now + timedelta(minutes=15))
    if state not in UNANSWERED:
        values.setdefault("confirmed_at", now)
        values.setdefault("started_at", now)
    return Operation.objects.create(requested_by=requested_by, state=state, **values)


def check(verdict: str = "ok", **values: Any) -> dict[str, Any]:
    """Make a check as a plan stores it."""
    return {
        "name": "Last observation",
        "how": "the inventory's own record",
        "observed": "2 s ago",
        "threshold": "3 min",
        "verdict": verdict,
        "observed_at": timezone.now().isoformat(),
        **values,
    }


def target(
    of: Operation,
    what: Instance,
    state: TargetState = TargetState.PLANNED,
    *,
    checks: Sequence[dict[str, Any]] = (),
    refusal: str = "",
    **values: Any,
) -> OperationTarget:
    """Make the next target of an operation, with its plan."""
    values.setdefault("position", of.targets.count())
    values.setdefault("outcome", refusal)
    values.setdefault(
        "plan",
        {
            "now": "primary, running" if what.is_primary else "replica, running",
            "will": "is stopped and started again; its sessions are ended",
            "steps": ["Stop PostgreSQL (fast)", "Start PostgreSQL"],
            "checks": list(checks),
            "refusal": refusal,
            "facts": facts_of(what),
        },
    )
    return OperationTarget.objects.create(
        operation=of,
        herd=what.herd,
        instance=what,
        herd_key=f"herd:{what.herd_id}",
        herd_name=what.herd.herd_name,
        environment_name=what.herd.environment.env_name,
        hostname=what.server.hostname,
        state=TargetState.REFUSED if refusal else state,
        **values,
    )


def step(
    of: OperationTarget, state: StepState = StepState.SUCCEEDED, **values: Any
) -> OperationStep:
    """Make the next step of a target; one that has ended took two seconds."""
    began = timezone.now() - timedelta(seconds=2)
    values.setdefault("number", of.steps.count() + 1)
    values.setdefault("name", "stop")
    values.setdefault("words", "Stop PostgreSQL (fast)")
    values.setdefault("started_at", began)
    if state != StepState.RUNNING:
        values.setdefault("finished_at", began + timedelta(seconds=2))
    return OperationStep.objects.create(target=of, state=state, **values)


def output(of: OperationStep, text: str, stream: str = "stdout") -> OperationOutput:
    """Make the next chunk of what a step's command printed."""
    return OperationOutput.objects.create(
        step=of, number=of.output.count(), stream=stream, text=text
    )
