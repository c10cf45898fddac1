"""ElepHaaS itself: a worker on the control host that carries a switchover out."""

from __future__ import annotations

from bench.cluster import HERD
from bench.contenders import Contender, Switch
from bench.fleet import PLAIN, Fleet
from bench.installation import confirmed, installation, operate, planned

REJOIN = {"old_primary": "rejoin"}


class ElepHaaS(Contender):
    """Plans from what it sees on the hosts; what the yes runs is the measured part."""

    name = "ElepHaaS"
    moves_name = True

    def take_over(self) -> None:
        """Install it for the cluster's herd, start a worker and have it look around."""
        lab = self.cluster.lab
        fleet = Fleet(lab=lab, version=self.cluster.herd.version)
        installed = self.stack.enter_context(
            installation(fleet, PLAIN, moves_names=True)
        )
        installed.enter_fleet()
        worker = installed.worker(installed.settings(PLAIN))
        operate(self.stack.enter_context(worker), "refresh", self._members())

    def plan(self, old: str, new: str) -> Switch:
        """Have the worker look at every member and write the plan."""
        operation = planned("switchover", self._members(new))
        return lambda: confirmed(operation, REJOIN)

    def _members(self, *hosts: str) -> list[int]:
        from herds.models import Instance

        members = Instance.objects.filter(
            herd__herd_name=HERD, server__hostname__in=hosts or self.cluster.members
        )
        return list(members.values_list("pk", flat=True))
