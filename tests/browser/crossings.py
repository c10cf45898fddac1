"""Operations that look like switchovers, planned and ended in every way, to look at."""

from __future__ import annotations

from datetime import timedelta


def fill() -> dict[str, int]:
    """Make herds and crossings of them; give their numbers by name."""
    from herds.operations import registry
    from tests.doubles.crossing import CROSSING

    registry.register(CROSSING)
    _herd("orders", "prod", "db01", "db02", "db03")
    _herd("stock", "prod", "db04", "db05")
    _herd("audit", "stage", "db06", "db07")
    return {
        "crossing": _plan("orders"),
        "crossing-mixed": _plan_mixed(),
        "crossing-ended": _ended(),
        "crossing-back": _rolled_back(),
        "crossing-interrupted": _interrupted(),
    }


def _herd(name: str, env: str, *hosts: str) -> None:
    from tests import factories

    primary = factories.instance(name, hosts[0], env, xlog_pos=2**30)
    for host in hosts[1:]:
        factories.instance(name, host, env, master=primary, xlog_pos=2**30 - 4096)


def _plan(*herds: str) -> int:
    from herds.models import Instance
    from herds.operations import requests

    chosen = Instance.objects.filter(herd__herd_name__in=herds)
    return requests.draft(
        "crossing",
        chosen.values_list("pk", flat=True),
        requests.Requester(name="admin", source="admin"),
    ).pk


def _plan_mixed() -> int:
    """One herd with a warning, one that cannot go, one of which all is fine."""
    from herds.models import Instance, Operation

    Instance.objects.filter(server__hostname="db05").update(is_online=False)
    number = _plan("orders", "stock", "audit")
    target = Operation.objects.get(pk=number).targets.get(herd_name="audit")
    target.plan["checks"][3] |= {
        "verdict": "warn",
        "name": "Long transactions",
        "observed": "pid 4711 is open for 12 min (application nightly-report)",
        "threshold": "1 min",
        "how": "SELECT pid, xact_start FROM pg_stat_activity ORDER BY 2 LIMIT 1",
    }
    target.save()
    return number


def _end(number: int, operation_state: str, whole: str, **values):  # type: ignore[no-untyped-def]
    """End an operation whose only target ends with these values."""
    from django.utils import timezone

    from herds.models import Operation
    from tests import factories
    from tests.doubles.crossing import STEPS

    now = timezone.now()
    began = now - timedelta(minutes=2)
    operation = Operation.objects.get(pk=number)
    for name in ("confirmed_at", "started_at"):
        setattr(operation, name, began)
    operation.finished_at = now
    operation.state, operation.outcome = operation_state, whole
    operation.save()
    target = operation.targets.get()
    target.started_at, target.finished_at = began, now - timedelta(seconds=90)
    for name, value in values.items():
        setattr(target, name, value)
    target.save()
    done = STEPS[:2] if target.state == "rolled back" else STEPS[:3]
    for words in done:
        factories.step(target, words=words, command="pg_ctl …", exit_status=0)
    return number


def _ended() -> int:
    from herds.models import Instance

    db01, db03 = (
        Instance.objects.get(server__hostname=host).pk for host in ("db01", "db03")
    )
    return _end(
        _plan("orders"),
        "succeeded",
        "The herd was crossed over. Something is left to do.",
        state="follow-ups",
        outcome="db02 is the primary of orders since 02:31:07 UTC; clients could not "
        "write for 1.4 s. orders.lab.test points at db02. 1 of 2 replicas follows it.",
        follow_ups=[
            {
                "action": "rebuild",
                "instance_id": db03,
                "words": "Rebuild db03: it could not be reached over SSH, and still "
                "follows db01.",
            },
            {
                "action": "start",
                "instance_id": db01,
                "words": "Start db01: it was left stopped as an emergency copy.",
            },
        ],
    )


def _rolled_back() -> int:
    return _end(
        _plan("audit"),
        "failed",
        "0 of 1 crossed over; 1 rolled back. Each says why; then retry those.",
        state="rolled back",
        outcome="db07 had not received all WAL of db06 after 10 s. db06 was started "
        "again and is the primary as before; db07 follows it.",
    )


def _interrupted() -> int:
    return _end(
        _plan("orders"),
        "interrupted",
        "0 of 1 crossed over; 1 interrupted. Resume to go on.",
        state="interrupted",
        outcome="The worker on control was lost while this ran. What is true on db02 "
        "is unknown.",
    )
