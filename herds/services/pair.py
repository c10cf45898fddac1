"""Looks at both ends of a change of roles, and tries the way back; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from herds.domain.plan import Check, Verdict
from herds.domain.probe import Probe
from herds.errors import ElephaasError
from herds.postgres import replication
from herds.postgres.copy_source import bin_directory
from herds.postgres.readiness import Readiness, ask_readiness

from .scene import Scene, View, at_once
from .target import Target


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The primary, the standby that is to take over, and what both say."""

    target: Target
    scene: Scene
    old: View
    new: View
    old_ready: Readiness
    new_ready: Readiness
    reached: dict[
        str, str
    ]  # by host: why the new primary cannot be followed from there

    @property
    def strangers(self) -> tuple[View, ...]:
        """Other members that are seen to hold another cluster."""
        mine = self.old_probe.system_identifier
        return tuple(
            view
            for view in self.others
            if view.probe is not None and view.known.system_identifier not in {"", mine}
        )

    @property
    def others(self) -> tuple[View, ...]:
        """The members that have to follow the new primary."""
        return self.scene.without(self.old.member, self.new.member)

    @property
    def old_probe(self) -> Probe:
        """What was seen of the primary."""
        return self.old.known

    @property
    def new_probe(self) -> Probe:
        """What was seen of the standby."""
        return self.new.known

    def row(
        self,
        name: str,
        how: str,
        observed: str,
        threshold: str,
        verdict: Verdict = Verdict.OK,
    ) -> Check:
        """Write a check that was made just now."""
        at = self.target.clock.now().isoformat()
        return Check(
            name=name,
            how=how,
            observed=observed,
            threshold=threshold,
            verdict=verdict,
            observed_at=at,
        )


def look_at_pair(target: Target, scene: Scene, old: View, new: View) -> Pair:
    """Ask both ends what a probe does not tell, and try the way back; change nothing.

    Raises:
        ElephaasError: one of both ends could not be asked.
    """
    followers = [view for view in scene.without(new.member) if view.probe is not None]
    asked = at_once(lambda view: ask_readiness(view.member.cluster), [old, new])
    tried = at_once(lambda view: _try_to_follow(view, new), followers)
    return Pair(
        target=target,
        scene=scene,
        old=old,
        new=new,
        old_ready=asked[0],
        new_ready=asked[1],
        reached={
            view.host: why for view, why in zip(followers, tried, strict=True) if why
        },
    )


def _try_to_follow(view: View, new: View) -> str:
    """Open a replication connection from a member's host; empty where that works."""
    probe, ref = view.probe, new.member.cluster.ref
    if probe is None or new.probe is None:
        return "nothing is known of it"
    try:
        told = replication.identify(
            view.member.cluster,
            replication.conninfo(
                probe.settings.get("primary_conninfo", ""),
                replication.Upstream(
                    host=ref.hostname, port=ref.port, application_name=view.name
                ),
            ),
            bin_directory=bin_directory(probe, new.probe.seen.version.split(".")[0]),
        )
    except ElephaasError as error:
        return error.message.rstrip(".")
    if told.system_identifier != new.probe.system_identifier:
        return f"another cluster answers there ({told.system_identifier})"
    return ""
