"""What is known of an instance, said the same in lists, tables and pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from herds import conf
from herds.admin import badges
from herds.admin.badges import Health
from herds.domain.links import Link, links
from herds.models import Herd, Instance, Server
from herds.selectors import vhosts
from herds.selectors.inventory import InstanceState, Lag, lag_of, state_of
from herds.selectors.vhosts import Aim

_HEALTH = {
    InstanceState.ONLINE: Health.FINE,
    InstanceState.STOPPED: Health.FAILED,
    InstanceState.UNKNOWN: Health.UNKNOWN,
}

_AIM = {
    Aim.PRIMARY: Health.FINE,
    Aim.ASTRAY: Health.FAILED,
    Aim.UNKNOWN: Health.UNKNOWN,
}

_OBSERVERS = {
    "agent": "the agent on its host",
    "worker": "a worker, over SSH",
}


@dataclass(frozen=True, kw_only=True)
class InstanceRow:
    """One line of a table of instances, ready to be drawn.

    Attributes:
        url: the address of the instance's page.
    """

    instance: Instance
    herd: SafeString
    role: SafeString
    online: SafeString
    lag: SafeString
    url: str


def instance_row(instance: Instance) -> InstanceRow:
    """Prepare an instance for a table of instances."""
    return InstanceRow(
        instance=instance,
        herd=named_herd(instance.herd),
        role=role(instance),
        online=online(instance),
        lag=lag(instance),
        url=reverse("admin:herds_instance_change", args=[instance.pk]),
    )


def environment_name(owner: Herd | Server) -> str | None:
    """Return the name of the environment something lives in."""
    return owner.environment.env_name if owner.environment else None


def outside_links(herd: Herd, instance: Instance | None = None) -> list[Link]:
    """Give the links to other programs' pages about a herd, or one instance of it."""
    values = {
        "herd": herd.herd_name,
        "cluster": herd.base_name,
        "environment": environment_name(herd) or "",
        "port": herd.db_port,
        "vhost": herd.vhost,
    }
    if instance is None:
        return links(conf.links(), "herd", values)
    values |= {"host": instance.server.hostname, "version": instance.version}
    return links(conf.links(), "instance", values)


def named_herd(herd: Herd) -> SafeString:
    """Name a herd with its environment beside it."""
    return badges.beside_environment(herd.herd_name, environment_name(herd))


def online(instance: Instance) -> SafeString:
    """Tell whether an instance is online, and since when that is known or not."""
    state = state_of(instance)
    badge = badges.state(_HEALTH[state], state.value, instance.unreachable_why)
    if state is not InstanceState.UNKNOWN:
        return badges.dated(badge, instance.observed_at, every=_interval(instance))
    return format_html("{} {}", badge, _silence(instance))


def role(instance: Instance) -> SafeString:
    """Tell whether an instance is its herd's primary, or whose replica it is."""
    upstream = instance.master
    if upstream is None and instance.upstream_host:
        return format_html(
            '<span class="ele-replica">replica of {}, no member of this herd</span>',
            badges.mono(instance.upstream_host),
        )
    if upstream is None:
        return mark_safe('<strong class="ele-primary">primary</strong>')
    return format_html(
        '<span class="ele-replica">replica of {}</span>',
        badges.mono(upstream.server.hostname),
    )


def pointing(herd: Herd, members: Iterable[Instance]) -> SafeString | None:
    """Tell where a herd's virtual host was seen to point, and whether it should."""
    if not herd.vhost:
        return None
    name = badges.breakable(herd.vhost)
    if herd.vhost_seen_at is None:
        why = herd.vhost_trouble or "DNS was never asked"
        if conf.dns() is None:
            why = "DNS is not managed here"
        return format_html("{}: {}.", name, why)
    state = vhosts.state_of(herd, [m for m in members if m.is_primary])
    target = herd.vhost_target
    points = (
        format_html("points at {}", badges.mono(target)) if target else "is missing"
    )
    fact = format_html("{} {} {}", name, points, badges.state(_AIM[state], state.value))
    every = conf.refresh().names_interval or None
    dated = badges.dated(fact, herd.vhost_seen_at, every=every)
    if not herd.vhost_trouble:
        return dated
    return format_html("{} – {}", dated, herd.vhost_trouble)


def lag(instance: Instance) -> SafeString:
    """Tell how far a replica is behind its upstream, and how old that is."""
    return lag_in_words(lag_of(instance), instance)


def streaming(instance: Instance) -> SafeString:
    """Tell whether a standby receives WAL; what was not seen is unknown."""
    if state_of(instance) is InstanceState.UNKNOWN:
        return badges.state(Health.UNKNOWN, "unknown")
    if instance.is_streaming is None:
        return badges.state(Health.UNKNOWN, "not seen")
    if instance.is_streaming:
        return badges.state(Health.FINE, "streams")
    return badges.state(Health.FAILED, "receives no WAL")


def seen(instance: Instance) -> SafeString:
    """Tell when an instance was seen last, and whose word that is."""
    by = _OBSERVERS.get(instance.observed_by, instance.observed_by)
    if instance.observed_at is None or not by:
        return badges.age(instance.observed_at)
    return format_html("{}, by {}", badges.age(instance.observed_at), by)


def lag_in_words(distance: Lag | None, replica: Instance) -> SafeString:
    """Write the lag of a replica with its age; a primary has none."""
    if distance is None:
        return mark_safe('<span class="ele-age">–</span>')
    return badges.lag(
        distance.octets,
        distance.observed_at,
        why=distance.why,
        every=_interval(replica),
    )


def _interval(instance: Instance) -> float | None:
    """Give the seconds between two readings of an instance; None for a worker's."""
    return badges.AGENT_INTERVAL if instance.observed_by == "agent" else None


def _silence(instance: Instance) -> SafeString:
    """Tell for how long nothing was seen, and what was seen last."""
    if instance.observed_at is None:
        return mark_safe('<span class="ele-age">never seen</span>')
    was = "online" if instance.is_online else "stopped"
    seen = format_html(
        '<span class="ele-age">last seen {}</span> {}',
        was,
        badges.age(instance.observed_at),
    )
    if instance.unreachable_since is None:
        return seen
    return format_html("{}, {}", badges.lasting(instance.unreachable_since), seen)
