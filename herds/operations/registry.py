"""Which actions there are: ours, and those that other applications add."""

from __future__ import annotations

from herds.errors import PreconditionFailed
from herds.services.actions import Action
from herds.services.demote import DEMOTE
from herds.services.failover import FAILOVER
from herds.services.fence import FENCE
from herds.services.promote import PROMOTE
from herds.services.rebuild import REBUILD
from herds.services.refresh import REFRESH
from herds.services.refresh_dns import REFRESH_DNS
from herds.services.register import REGISTER
from herds.services.reload import RELOAD
from herds.services.restart import RESTART
from herds.services.start import START
from herds.services.stop import STOP
from herds.services.switchover import SWITCHOVER

_ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        *(START, STOP, RESTART, RELOAD, PROMOTE, DEMOTE, REBUILD, REFRESH),
        *(SWITCHOVER, FAILOVER, REFRESH_DNS),
        *(REGISTER, FENCE),
    )
}


def register(action: Action) -> None:
    """Add an action of another application, from its ``AppConfig.ready``.

    Raises:
        ValueError: the name is taken by another action.
    """
    if _ACTIONS.setdefault(action.name, action) is not action:
        raise ValueError(f"an action named {action.name!r} exists already")


def all_actions() -> tuple[Action, ...]:
    """Give every action, in the order of the menus."""
    return tuple(_ACTIONS.values())


def get(name: str) -> Action:
    """Find an action by its name.

    Raises:
        PreconditionFailed: there is none.
    """
    try:
        return _ACTIONS[name]
    except KeyError:
        raise PreconditionFailed(
            f"There is no action {name!r}.",
            hint=f"Known are {', '.join(_ACTIONS)}.",
        ) from None
