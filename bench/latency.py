"""From the click on the plan page's button to the command's start on the host."""

from __future__ import annotations

import time

from bench.figures import Limit, Report, median_of
from bench.fleet import DEBIAN
from bench.installation import Installation, ended, operate, requester

CLICKS = 21

# The command itself writes down when it runs; lab hosts share this machine's clock.
_STAMP = "/tmp/elephaas-bench-click"
_STAMPED = DEBIAN | {
    "reload": f"date +%s.%N >{_STAMP}; {{COMMANDS[base]}} reload",
}


def measure(installed: Installation, report: Report) -> None:
    """Add the median time from click to first remote command, worker idle."""
    from herds.models import Instance

    instance = Instance.objects.select_related("server").earliest("pk")
    with installed.worker(installed.settings(_STAMPED)) as worker:
        operate(worker, "refresh", [instance.pk])
        seconds = [_click(installed, instance) for _ in range(CLICKS)]
    report.limits.append(
        Limit(
            name=f"Click to first remote command, median of {CLICKS}",
            value=median_of(seconds) * 1000,
            unit="ms",
            bound=100,
        )
    )


def _click(installed: Installation, instance: object) -> float:
    """Confirm a plan by the page's own form; return the seconds to the command."""
    from django.contrib.auth.models import User
    from django.test import Client
    from django.urls import reverse

    from herds.models import Instance
    from herds.operations import requests

    assert isinstance(instance, Instance)
    user, _ = User.objects.get_or_create(
        username="bench", defaults={"is_staff": True, "is_superuser": True}
    )
    browser = Client()
    browser.force_login(user)
    operation = requests.draft("reload", [instance.pk], requester())
    page = reverse("admin:herds_operation_confirm", args=[operation.pk])
    browser.get(page)
    clicked = time.time()
    browser.post(page, {"reason": "bench"})
    ended(operation.pk)
    stamp = installed.fleet.lab.exec(instance.server.hostname, ["cat", _STAMP]).stdout
    return float(stamp) - clicked
