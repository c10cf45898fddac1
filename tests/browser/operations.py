"""Serve the admin with operations in every state, to look at.

    python -m tests.browser.operations [--port 8124]

Prints the addresses of its pages. Logins are those of ``tests.browser.site``.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from tests.browser.site import serve, set_up


def main() -> None:
    """Make the server, the tables and the rows, and serve them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8124)
    options = parser.parse_args()

    from lab.private_server import PrivateServer
    from tests.browser import crossings

    directory = Path(tempfile.mkdtemp(prefix="elephaas-site-"))
    server = PrivateServer(directory, durable=False, dies_with_parent=True)
    try:
        server.start()
        set_up(server.directory, server.port, server.superuser)
        for name, operation_id in (fill() | crossings.fill()).items():
            print(f"{name}=/admin/herds/operation/{operation_id}/", flush=True)
        serve(options.port)
    finally:
        server.destroy()
        shutil.rmtree(directory, ignore_errors=True)


def fill() -> dict[str, int]:
    """Make people, an inventory, and operations; give their numbers by name."""
    from django.contrib.auth.models import Permission, User
    from django.utils import timezone

    from tests import factories

    admin = User.objects.create_superuser("admin", password="admin")
    viewer = User.objects.create_user("viewer", password="viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    factories.worker(heartbeat_at=timezone.now() + timedelta(days=1))
    return {
        "running": _running(admin),
        "failed": _failed(admin),
        "succeeded": _succeeded(admin),
        "interrupted": _interrupted(admin),
        "queued": _queued(admin),
        "large": _large(admin),
        "plan": _plan(admin),
        "plan-warned": _plan_with_warnings(admin),
        "plan-expired": _plan_expired(admin),
        "plan-large": _plan_large(admin),
        "plan-choices": _plan_with_choices(admin),
        "planning": _planning(admin),
    }


def _members(herd: str, env: str, *hosts: str):  # type: ignore[no-untyped-def]
    """Make a herd of a primary and its replicas, or give the one there is."""
    from herds.models import Instance
    from tests import factories

    members = []
    for host in hosts:
        found = Instance.objects.filter(
            herd__herd_name=herd, server__hostname=host
        ).first()
        members.append(
            found
            or factories.instance(
                herd, host, env, master=members[0] if members else None
            )
        )
    return members


def _fleet():  # type: ignore[no-untyped-def]
    return [
        *_members("trade", "prod", "ele01", "ele02", "ele03"),
        *_members("quote", "prod", "ele04", "ele05", "ele06"),
        *_members("ledger", "stage", "ele07", "ele08", "ele09"),
        *_members("risk", "dev", "ele10", "ele11", "ele12"),
    ]


def _story(target, ok: bool = True):  # type: ignore[no-untyped-def]
    """Give a target the steps of a restart."""
    from herds.domain.states import StepState
    from tests import factories

    factories.step(
        target,
        name="look",
        words="Look at what is true",
        evidence={"activity": "running", "version": "15.4", "pid": 2711},
    )
    stop = factories.step(
        target,
        command="pg_ctlcluster 15 trade stop -m fast",
        exit_status=0,
        evidence={"activity": "stopped", "pg_control": "shut down"},
    )
    factories.output(stop, "waiting for server to shut down.... done\n")
    factories.output(stop, "server stopped\n")
    start = factories.step(
        target,
        StepState.SUCCEEDED if ok else StepState.FAILED,
        name="start",
        words="Start PostgreSQL",
        command="pg_ctlcluster 15 trade start",
        exit_status=0 if ok else 1,
        message="" if ok else "The postmaster gave up while starting.",
        evidence={"activity": "running" if ok else "stopped"},
    )
    if not ok:
        factories.output(
            start,
            "2026-11-23 02:31:07.114 UTC [3012] FATAL:  could not map anonymous shared "
            "memory: Cannot allocate memory\n2026-11-23 02:31:07.114 UTC [3012] HINT:  "
            "This error usually means that PostgreSQL's request for a shared memory "
            "segment exceeded available memory.\npg_ctl: could not start server\n",
            "stderr",
        )


def _running(admin) -> int:  # type: ignore[no-untyped-def]
    from django.utils import timezone

    from herds.domain.states import OperationState, StepState, TargetState
    from tests import factories

    now = timezone.now()
    operation = factories.operation(
        admin,
        OperationState.RUNNING,
        headline="Restart 12 instances of 4 herds in dev, prod and stage",
        reason="Change of shared_buffers, ticket DB-2231",
        started_at=now - timedelta(seconds=74),
    )
    began = {"started_at": now - timedelta(seconds=70)}
    ended = {**began, "finished_at": now - timedelta(seconds=64)}
    states = [
        (TargetState.QUEUED, "", {}),
        (TargetState.SUCCEEDED, "Restarted. ele02 runs PostgreSQL 15.4 as a standby "
         "since 02:31:07 UTC.", ended),
        (TargetState.RUNNING, "", {**began, "current_step": "Stop PostgreSQL (fast)"}),
        (TargetState.QUEUED, "", {}),
        (TargetState.FAILED, "ele05 is stopped (pg_control says 'shut down'): the "
         "command ended with exit status 1 and said: pg_ctl: could not start server. "
         "Read the command's output and the server's log on the host.",
         {**ended, "detail": "CommandFailed: pg_ctlcluster 15 quote start"}),
        (TargetState.FAILED, "ele06 could not be reached over SSH (connection timed "
         "out after 5 s). What runs there is unknown. Check the host and its network, "
         "then try again.", ended),
        (TargetState.FOLLOW_UPS, "Restarted; shared_buffers still waits for a restart.",
         ended),
        (TargetState.INTERRUPTED, "The worker on control was lost while this ran. "
         "What is true on ele08 is unknown.", began),
        (TargetState.REFUSED, "ledger on ele09 has changed since the plan (it is a "
         "primary now); nothing was done to it. Plan it again.", {}),
        (TargetState.SUCCEEDED, "Restarted. ele10 runs PostgreSQL 15.4 as a primary "
         "since 02:31:09 UTC.", ended),
        (TargetState.CANCELLED, "Not begun; cancelled by anna.", {}),
        (TargetState.SUCCEEDED, "Restarted already. ele12 runs PostgreSQL 15.4.",
         ended),
    ]  # fmt: skip
    for member, (state, outcome, values) in zip(_fleet(), states, strict=True):
        target = factories.target(operation, member, state, outcome=outcome, **values)
        if state in {TargetState.SUCCEEDED, TargetState.FAILED}:
            _story(target, ok=state == TargetState.SUCCEEDED)
        elif state == TargetState.RUNNING:
            factories.step(target, name="look", words="Look at what is true")
            running = factories.step(
                target, StepState.RUNNING, command="pg_ctlcluster 15 trade stop -m fast"
            )
            factories.output(running, "waiting for server to shut down....")
    return operation.pk


def _ended(admin, state, outcome, targets) -> int:  # type: ignore[no-untyped-def]
    from django.utils import timezone

    from tests import factories

    now = timezone.now()
    operation = factories.operation(
        admin,
        state,
        headline=f"Restart {len(targets)} instances of 1 herd in prod",
        started_at=now - timedelta(minutes=8),
        finished_at=now - timedelta(minutes=7, seconds=12),
        outcome=outcome,
    )
    times = {
        "started_at": now - timedelta(minutes=8),
        "finished_at": now - timedelta(minutes=7, seconds=40),
    }
    for member, (kind, words) in zip(_fleet(), targets, strict=False):
        target = factories.target(operation, member, kind, outcome=words, **times)
        _story(target, ok=kind == "succeeded")
    return operation.pk


_GOOD = ("succeeded", "Restarted. It runs PostgreSQL 15.4 since 02:31:07 UTC.")
_BAD = ("failed", "ele03 is stopped: the command ended with exit status 1.")


def _failed(admin) -> int:  # type: ignore[no-untyped-def]
    return _ended(
        admin,
        "partly",
        "2 of 3 restarted; 1 failed. Each says why; then retry those.",
        [_GOOD, _GOOD, _BAD],
    )


def _succeeded(admin) -> int:  # type: ignore[no-untyped-def]
    return _ended(
        admin, "succeeded", "All 3 instances were restarted.", [_GOOD, _GOOD, _GOOD]
    )


def _interrupted(admin) -> int:  # type: ignore[no-untyped-def]
    lost = ("interrupted", "The worker on control was lost while this ran.")
    return _ended(
        admin,
        "interrupted",
        "2 of 3 restarted; 1 interrupted. Resume to go on.",
        [_GOOD, _GOOD, lost],
    )


def _queued(admin) -> int:  # type: ignore[no-untyped-def]
    from tests import factories

    operation = factories.operation(
        admin,
        "queued",
        started_at=None,
        headline="Reload 2 instances of 2 herds in dev and prod",
        action="reload",
    )
    for member in (_fleet()[0], _fleet()[9]):
        factories.target(operation, member, "queued")
    return operation.pk


def _many(number: int):  # type: ignore[no-untyped-def]
    members = []
    for index in range(number // 3):
        env = ("prod", "stage", "dev")[index % 3]
        hosts = [f"node{index * 3 + host:03}" for host in range(3)]
        members += _members(f"shard{index:03}", env, *hosts)
    return members


def _large(admin) -> int:  # type: ignore[no-untyped-def]
    from django.utils import timezone

    from tests import factories

    now = timezone.now()
    operation = factories.operation(
        admin,
        "running",
        headline="Restart 300 instances of 100 herds in dev, prod and stage",
        started_at=now - timedelta(seconds=31),
    )
    for index, member in enumerate(_many(300)):
        state = "succeeded" if index < 190 else "running" if index < 222 else "queued"
        if index in (17, 63, 64):
            state = "failed"
        factories.target(
            operation,
            member,
            state,
            outcome={"succeeded": _GOOD[1], "failed": _BAD[1]}.get(state, ""),
            current_step="Start PostgreSQL" if state == "running" else "",
            started_at=None if state == "queued" else now - timedelta(seconds=9),
            finished_at=now if state in {"succeeded", "failed"} else None,
        )
    return operation.pk


def _plan(admin) -> int:  # type: ignore[no-untyped-def]
    from tests import factories

    operation = factories.operation(
        admin,
        headline="Restart 6 instances of 2 herds in prod and stage",
        afterwards="Every one of them runs with a new postmaster; sessions were ended.",
    )
    for member in _fleet()[:3] + _fleet()[6:9]:
        factories.target(
            operation,
            member,
            wave=2 if member.is_primary else member.pk % 3 % 2,
            checks=[factories.check(), factories.check(name="Host key")],
        )
    return operation.pk


def _plan_with_warnings(admin) -> int:  # type: ignore[no-untyped-def]
    from tests import factories

    operation = factories.operation(
        admin,
        headline="Restart 4 instances of 2 herds in dev and prod",
        afterwards="Every one of them runs with a new postmaster; sessions were ended.",
    )
    members = [*_fleet()[:3], _fleet()[9]]
    for index, member in enumerate(members):
        verdict = "warn" if index == 1 else "ok"
        factories.target(
            operation,
            member,
            wave=1 if member.is_primary else 0,
            checks=[
                factories.check(),
                factories.check(
                    verdict,
                    name="Replication lag",
                    observed="48.0 MB",
                    threshold="16 MB",
                ),
            ],
            refusal=(
                "No host key of ele10 was accepted yet, so nothing can be run there. "
                "Accept it on the server's page."
                if index == 3
                else ""
            ),
        )
    return operation.pk


def _plan_expired(admin) -> int:  # type: ignore[no-untyped-def]
    from django.utils import timezone

    from tests import factories

    yesterday = timezone.now() - timedelta(days=1)
    operation = factories.operation(admin, created_at=yesterday, expires_at=yesterday)
    for member in _fleet()[:2]:
        factories.target(operation, member)
    return operation.pk


def _plan_with_choices(admin) -> int:  # type: ignore[no-untyped-def]
    from tests import factories

    operation = factories.operation(admin)
    for member in _fleet()[1:3]:
        target = factories.target(operation, member)
        target.plan["choices"] = [
            {
                "name": "method",
                "label": "Method",
                "default": "quick",
                "options": [
                    {"value": "quick", "label": "quickly", "possible": True, "why": ""},
                    {"value": "slow", "label": "slowly", "possible": True,
                     "why": "12.0 GB to copy"},
                    {"value": "odd", "label": "oddly", "possible": False,
                     "why": "not on this version"},
                ],
            }
        ]  # fmt: skip
        target.save()
    return operation.pk


def _planning(admin) -> int:  # type: ignore[no-untyped-def]
    from tests import factories

    operation = factories.operation(admin, "planning")
    for member in _fleet()[1:3]:
        factories.target(operation, member)
    return operation.pk


def _plan_large(admin) -> int:  # type: ignore[no-untyped-def]
    from tests import factories

    operation = factories.operation(
        admin, headline="Restart 300 instances of 100 herds in dev, prod and stage"
    )
    for index, member in enumerate(_many(300)):
        factories.target(
            operation,
            member,
            checks=[factories.check("warn" if index % 50 == 7 else "ok")],
        )
    return operation.pk


if __name__ == "__main__":
    main()
