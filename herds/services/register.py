"""Register an instance: record the cluster that is there, or create one.

What is there already is only looked at. A directory that holds something else is
refused and stays untouched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from herds.domain.cluster import Activity, Observation
from herds.domain.plan import Check, Choice, Option, PlannedTarget, Verdict
from herds.domain.probe import Probe
from herds.errors import NotObserved, PreconditionFailed
from herds.postgres.configuration import (
    bring_configuration,
    read_settings,
    write_setting,
)
from herds.postgres.replication import USER

from .actions import Action
from .finding import Found, Way, checks_of, find, role_words
from .lifecycle import bring_up, plan_each, state_sentence
from .rebuild import examine_rejoin, run_rejoin
from .target import Member, Target

if TYPE_CHECKING:
    from herds.models import Instance


def _plan(members: Sequence[Instance]) -> list[PlannedTarget]:
    return plan_each(
        members,
        will="is recorded as it is found, or created",
        steps=(),
        # One after the other: the first of a new herd is the primary of the others.
        waves=range(len(members)),
    )


def _examine(target: Target) -> PlannedTarget:
    """Plan from what is in the directory, and from what the herd has."""
    found = find(target)
    facts = {"way": found.way.value}
    if found.way is Way.REPLICA and found.primary is not None:
        plan = examine_rejoin(target, found.primary)
        return replace(
            plan,
            now="no data directory yet",
            will=f"is created as a replica of {found.primary.host}: {plan.will}",
            facts={**plan.facts, **facts},
        )
    if found.way is Way.CREATE:
        return _plan_creation(target, found, facts)
    return PlannedTarget(
        now=role_words(found),
        will="is recorded as it is; nothing is changed",
        steps=("Look at what is there",),
        checks=tuple(checks_of(target, found)),
        facts=facts,
    )


def _plan_creation(
    target: Target, found: Found, facts: dict[str, str]
) -> PlannedTarget:
    choice, check = _version(target, found.probe)
    return PlannedTarget(
        now="no data directory yet",
        will="is created as a brand-new cluster, the herd's first, and started",
        steps=(
            "Look at what is there",
            "Create a cluster of the chosen version",
            "Start PostgreSQL",
        ),
        checks=(check,),
        choices=(choice,),
        facts=facts,
    )


def _version(target: Target, probe: Probe) -> tuple[Choice, Check]:
    """Offer the major versions that are installed for a new cluster.

    Raises:
        PreconditionFailed: the one asked for is not installed there, or none is.
    """
    asked = str(target.parameters.get("version") or "")
    installed = sorted(
        {path.split("/")[-2].removeprefix("pgsql-") for path in probe.installed},
        key=lambda major: [int(part) for part in major.split(".")],
        reverse=True,
    )
    there = ", ".join(installed)
    if not installed or (asked and asked not in installed):
        raise PreconditionFailed(
            f"PostgreSQL {asked} is not installed on {target.host}".replace("  ", " ")
            + (f"; {there} is." if installed else "."),
            host=target.host,
            hint="Install it, then register again.",
        )
    choice = Choice(
        name="version",
        label="PostgreSQL version",
        options=tuple(Option(value=major, label=major) for major in installed),
        default=asked or installed[0],
    )
    check = Check(
        name="Brand-new cluster",
        how="a look at the directory, and at every member of the herd",
        observed=f"{target.cluster.ref.data_directory} does not exist, and no other "
        "member has data"
        + ("" if asked else f"; no version was asked for, {installed[0]} is taken"),
        threshold="a version was asked for",
        verdict=Verdict.OK if asked else Verdict.WARN,
        observed_at=target.clock.now().isoformat(),
    )
    return choice, check


def _run(target: Target) -> str:
    way = Way(target.plan["facts"]["way"])
    with target.steps.step("look", "Look at what is there") as step:
        resumed = target.steps.earlier("look") is not None
        found = find(target)
        step.saw(found.probe.seen)
        if found.way is not way and not resumed:
            raise PreconditionFailed(
                f"What lies in {target.cluster.ref.data_directory} on {target.host} "
                "has changed since this was planned; nothing was done.",
                host=target.host,
                hint="Register it again.",
            )
    if way is Way.CREATE:
        return _create(target, found)
    if way is Way.REPLICA:
        return _create_replica(target, found)
    return _record(target, found)


def _record(target: Target, found: Found) -> str:
    seen = found.probe.seen
    target.record(_with_upstream(seen, found.upstream))
    return f"Recorded. {state_sentence(target.host, seen)}"


def _with_upstream(seen: Observation, upstream: Member | None) -> Observation:
    if upstream is None:
        return seen
    return replace(seen, facts={**seen.facts, "upstream": upstream.instance_id})


def _create_replica(target: Target, found: Found) -> str:
    """Copy the herd's primary, with the configuration that lies outside its data.

    Raises:
        PreconditionFailed: the herd has no single primary any more.
    """
    primary = found.primary
    if primary is None:
        raise PreconditionFailed(
            f"The herd of {target.host} has no single member that takes writes now; "
            f"{target.host} was not created.",
            host=target.host,
            hint="Register it again once the herd has its primary.",
        )
    with target.steps.step(
        "configuration", f"Bring the configuration of {primary.host}"
    ) as step:
        config_file = primary.cluster.probe().config_file
        if bring_configuration(primary.cluster, config_file, target.cluster):
            step.note(f"{config_file} and what lies beside it was brought.")
        else:
            step.skip("It comes with the data, or is there already.")
    outcome = run_rejoin(target, primary)
    target.record(_with_upstream(target.cluster.look(), primary))
    return f"Created as a replica. {outcome}"


def _create(target: Target, found: Found) -> str:
    """Make a new cluster and start it as the herd's first member."""
    version = target.chosen("version")
    target.cluster.ref = replace(target.cluster.ref, version=version)
    words = f"Create a cluster of PostgreSQL {version}"
    with target.steps.step("init", words) as step:
        if found.way is Way.RECORD:
            step.skip("An earlier attempt created it.")
        else:
            acted = target.act(step, "init")
            seen = target.look()
            step.saw(seen)
            if seen.activity not in {Activity.STOPPED, Activity.RUNNING}:
                raise NotObserved(
                    f"a cluster in {target.cluster.ref.data_directory}",
                    observed=seen.activity.value,
                    seconds=round(acted.seconds, 1) if acted else 0.0,
                    host=target.host,
                    hint="Read the command's output; COMMANDS['init'] makes the "
                    "cluster.",
                )
    if not target.look().is_running:
        _settle_port(target)
        bring_up(target)
    seen = target.look()
    return f"Created. {state_sentence(target.host, seen)}{_not_ready(target)}"


def _settle_port(target: Target) -> None:
    """Have the new cluster listen on the herd's port: not every ``init`` is told."""
    port = str(target.cluster.ref.port)
    with target.steps.step("port", f"Give it the herd's port, {port}") as step:
        if read_settings(target.cluster, "port")["port"] == port:
            step.skip(f"Its configuration says {port}.")
        else:
            write_setting(target.cluster, "port", port)


def _not_ready(target: Target) -> str:
    """Say what a new cluster lacks before standbys can follow it."""
    role, addresses = target.cluster.psql(
        """
        SELECT count(*) FROM pg_roles WHERE rolname = :'name' AND rolreplication;
        SHOW listen_addresses;
        """,
        values={"name": USER},
        words="look for what standbys need",
    ).split("\n")
    lacking = []
    if role == "0":
        lacking.append(f"there is no role {USER} with the right to replicate")
    if addresses in {"", "localhost"}:
        lacking.append(f"it listens on {addresses or 'its socket'} only")
    return f" No replica can follow it yet: {'; '.join(lacking)}." if lacking else ""


REGISTER = Action(
    name="register",
    verb="Register",
    past="registered",
    permission="herds.add_instance",
    words="Records the cluster that is there, or creates it where none is.",
    afterwards="Each of them is in the inventory as it was seen.",
    plan=_plan,
    run=_run,
    examine=_examine,
    needs_members=True,
    menus=(),
)
