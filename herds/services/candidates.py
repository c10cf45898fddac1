"""Decides which member of a herd an action on the whole herd is about."""

from __future__ import annotations

from collections.abc import Sequence

from herds.models import DisasterRecovery, Instance


def best_standbys(chosen: Sequence[int]) -> Sequence[int]:
    """Give the standby of each herd that would take over.

    One replica that was chosen by itself is taken; of a whole herd, or several, the
    most up-to-date one that is online (view ``v_dr_pairs``). A herd without any gives
    a member all the same, for its plan to say why it cannot go.

    Args:
        chosen: ids of instances.
    """
    herds: dict[int, list[Instance]] = {}
    for instance in Instance.objects.filter(pk__in=chosen).order_by("instance_id"):
        herds.setdefault(instance.herd_id, []).append(instance)
    pairs = DisasterRecovery.objects.filter(herd__in=herds)
    best = dict(pairs.values_list("herd_id", "instance_id"))
    return [
        members[0].pk
        if len(members) == 1 and not members[0].is_primary
        else best.get(herd_id, members[-1].pk)
        for herd_id, members in herds.items()
    ]
