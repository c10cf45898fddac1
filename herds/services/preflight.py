"""The checks before a herd's primary is moved: each with what was seen, and how.

What ten other systems check, and their users' mishaps, are behind the list. A check
that stops is the herd's way to say that it cannot move now; one that warns wants to be
read by a person first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from herds.domain.plan import Check, Verdict
from herds.domain.probe import Probe
from herds.domain.synchronous import satisfiable

from . import logical_slots
from .pair import Pair
from .rebuild import size_words
from .scene import View, fed_by_others, named

MEGABYTE = 1024 * 1024
MUCH_LAG = 16 * MEGABYTE
"""Bytes that a standby may be behind before a person has to read of it."""
TOO_MUCH_LAG = 1024 * MEGABYTE
"""Bytes behind which a stop would keep the herd from its clients for too long."""
READY_WARN, READY_STOP = 16, 128  # WAL files that wait for the archiver (as repmgr)
SILENT = (
    10.0  # seconds without a word after which a WAL sender's client counts as stuck
)
LONG = 60.0  # seconds; a transaction that is older is worth a word
SKEW = 5.0  # seconds that clocks may differ; signed DNS updates allow 300

# A standby whose value is lower than its primary's pauses its replay
# (https://www.postgresql.org/docs/current/hot-standby.html, 26.4.3).
AT_LEAST = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
)
MANAGERS = {"pgautofailover": "pg_auto_failover", "repmgr": "repmgr"}
"""Libraries by which others show that they move the primary themselves."""


def preflight(pair: Pair) -> tuple[Check, ...]:
    """Judge everything that was seen, in the order in which one wants to read it."""
    return tuple(
        check
        for judge in (
            _roles,
            _identity,
            _streaming,
            _replay,
            _archiver,
            _senders,
            _synchronous,
            _parameters,
            _room,
            _way_back,
            _rights,
            logical_slots.judge,
            _sessions,
            _surroundings,
        )
        for check in judge(pair)
    )


def stops(checks: Sequence[Check]) -> tuple[Check, ...]:
    """Give the checks that say no."""
    return tuple(check for check in checks if check.verdict is Verdict.STOP)


def warnings(checks: Sequence[Check]) -> tuple[Check, ...]:
    """Give the checks that somebody has to have read."""
    return tuple(check for check in checks if check.verdict is Verdict.WARN)


def refusal(checks: Sequence[Check]) -> str:
    """Say why the herd cannot go, from the checks that stop it; empty where it can."""
    return " ".join(
        f"{check.name}: {check.observed} (wanted: {check.threshold})."
        for check in stops(checks)
    )


def _stop_if(is_wrong: bool) -> Verdict:
    return Verdict.STOP if is_wrong else Verdict.OK


def _warn_if(is_odd: bool) -> Verdict:
    return Verdict.WARN if is_odd else Verdict.OK


def _roles(pair: Pair) -> Iterator[Check]:
    writers, unknown = pair.scene.writers, pair.scene.unknown
    recorded = pair.old.member.is_primary
    observed = f"{named(writers)} takes writes"
    if not recorded:
        observed += f", and the inventory has {pair.old.host} for a replica"
    if unknown:
        observed += f"; nothing is known of {named(unknown)}"
    is_wrong = len(writers) != 1 or not recorded
    yield pair.row(
        "One primary",
        "pg_is_in_recovery() on every member",
        observed,
        "exactly one member, the recorded one",
        Verdict.STOP if is_wrong else _warn_if(bool(unknown)),
    )


def _identity(pair: Pair) -> Iterator[Check]:
    old, new = pair.old_probe, pair.new_probe
    same = old.system_identifier == new.system_identifier
    majors = {probe.seen.version.split(".")[0] for probe in (old, new)}
    yield pair.row(
        "Same cluster",
        "system identifier and major version of both",
        f"{new.system_identifier}, PostgreSQL {new.seen.version}",
        f"{old.system_identifier}, PostgreSQL {old.seen.version.split('.')[0]}",
        _stop_if(not same or len(majors) > 1),
    )
    if pair.strangers:
        yield pair.row(
            "Members of this herd",
            "system identifier of every other member",
            "; ".join(
                f"{view.host} holds another cluster ({view.known.system_identifier})"
                for view in pair.strangers
            ),
            f"{old.system_identifier}: what is of another cluster is no member, and "
            "would be told to follow; delete its instance here",
            Verdict.STOP,
        )
    yield pair.row(
        "Timeline",
        "the live one of both",
        f"{new.timeline}",
        f"{old.timeline}, the primary's",
        _stop_if(new.timeline != old.timeline),
    )
    yield pair.row(
        "Complete",
        "marker and recovery settings in the standby",
        _left_over(new) or "no rebuild left unfinished, no recovery target",
        "nothing that ends its recovery by itself or keeps it from starting",
        _stop_if(bool(_left_over(new))),
    )


def _left_over(probe: Probe) -> str:
    if probe.is_incomplete:
        return "a rebuild began in it and did not end"
    targets = [
        name
        for name, value in probe.settings.items()
        if name.startswith("recovery_target")
        and name != "recovery_target_timeline"
        and value
    ]
    if targets:
        return f"{', '.join(targets)} is set"
    if probe.settings.get("recovery_target_timeline", "latest") != "latest":
        timeline = probe.settings["recovery_target_timeline"]
        return f"recovery_target_timeline is {timeline}"
    return ""


def _streaming(pair: Pair) -> Iterator[Check]:
    sender = pair.old.sender_to(pair.new)
    if sender is None:
        receiver = pair.new_probe.receiver
        observed = (
            f"{pair.old.host} does not list {pair.new.name} among its followers"
            + (f"; it receives from {receiver.host}" if receiver else "")
        )
    else:
        observed = f"{sender.state} to {pair.new.host}"
    streams = sender is not None and sender.state == "streaming"
    yield pair.row(
        "Streaming",
        f"pg_stat_replication on {pair.old.host}",
        observed,
        "streaming, directly from the primary",
        _stop_if(not streams),
    )
    behind = _behind(pair)
    observed = "not known" if behind is None else f"{size_words(behind)} behind"
    much = behind is None or behind > MUCH_LAG
    too_much = behind is not None and behind > TOO_MUCH_LAG
    yield pair.row(
        "Lag",
        "positions of both: what is written, what is replayed",
        observed,
        f"at most {size_words(MUCH_LAG)}",
        Verdict.STOP if too_much else _warn_if(much),
    )


def _behind(pair: Pair) -> int | None:
    written, replayed = pair.old_probe.seen.position, pair.new_probe.replayed
    if written is None or replayed is None:
        return None
    return max(0, written - replayed)


def _replay(pair: Pair) -> Iterator[Check]:
    delay = pair.new_probe.settings.get("recovery_min_apply_delay", "0")
    paused = pair.new_ready.is_paused
    observed = "paused" if paused else "goes on"
    if delay not in {"0", "0ms"}:
        observed += f", delayed by recovery_min_apply_delay = {delay}"
    yield pair.row(
        "Replay",
        "pg_is_wal_replay_paused(), recovery_min_apply_delay",
        observed,
        "not paused, not delayed",
        _stop_if(paused or delay not in {"0", "0ms"}),
    )


def _archiver(pair: Pair) -> Iterator[Check]:
    ready = pair.old_ready.ready_files
    if ready is None:
        return
    observed = f"{ready:,} WAL files wait to be archived"
    if pair.old_ready.is_archiver_failing:
        observed += f"; the last attempt failed ({pair.old_ready.failed_wal})"
    odd = ready > READY_WARN or pair.old_ready.is_archiver_failing
    yield pair.row(
        "Archiver",
        f"pg_stat_archiver and archive_status on {pair.old.host}",
        observed,
        f"at most {READY_WARN}, the last attempt a success: {pair.old.host} is not "
        "gone before they are archived",
        Verdict.STOP if ready > READY_STOP else _warn_if(odd),
    )


def _senders(pair: Pair) -> Iterator[Check]:
    stuck = [
        sender
        for sender in pair.old_ready.senders
        if (sender.behind or 0) > 0 and (sender.silent or 0.0) > SILENT
    ]
    names = ", ".join(
        f"{each.name or 'one without a name'} ({size_words(each.behind or 0)} behind, "
        f"silent for {each.silent:.0f} s)"
        for each in stuck
    )
    yield pair.row(
        "WAL senders",
        f"pg_stat_replication on {pair.old.host}: positions and last words",
        names or f"{len(pair.old_ready.senders)}, all moving",
        f"none silent for {SILENT:.0f} s: one that is stuck keeps {pair.old.host} "
        "from ending",
        _warn_if(bool(stuck)),
    )
    yield pair.row(
        "Backups",
        "pg_stat_progress_basebackup on both",
        f"{pair.old_ready.backups + pair.new_ready.backups} running",
        "none: they would be aborted",
        _warn_if(pair.old_ready.backups + pair.new_ready.backups > 0),
    )


def _synchronous(pair: Pair) -> Iterator[Check]:
    names = pair.new_ready.sync_names
    # Who is fed by another standby confirms nothing to the primary.
    below = fed_by_others(pair.scene, pair.old.member, pair.new.member)
    at_first = [
        view.name
        for view in pair.others
        if view.is_standby and view.member.instance_id not in below
    ]
    later = [*at_first, pair.old.name]
    if satisfiable(names, at_first):
        verdict, observed = Verdict.OK, names or "no synchronous standbys"
    elif satisfiable(names, later):
        observed = f"{names!r} waits for {pair.old.host} until that follows again"
        verdict = Verdict.WARN
    else:
        observed = f"{names!r}, and only {', '.join(later)} will be there"
        verdict = Verdict.STOP
    yield pair.row(
        "Synchronous replication",
        f"synchronous_standby_names on {pair.new.host}, and who will follow it",
        observed,
        f"commits on {pair.new.host} wait for nobody who is not there",
        verdict,
    )


def _parameters(pair: Pair) -> Iterator[Check]:
    lower = [
        f"{name} is {mine} on {view.host} and {theirs} on {pair.new.host}"
        for view in (pair.old, *pair.others)
        if view.probe is not None
        for name in AT_LEAST
        if (mine := view.probe.settings.get(name, ""))
        and (theirs := pair.new_probe.settings.get(name, ""))
        and int(mine) < int(theirs)
    ]
    yield pair.row(
        "Standby parameters",
        "pg_settings of every member",
        "; ".join(lower) or "no follower has less than the new primary",
        "followers have at least as much, or their replay pauses",
        _warn_if(bool(lower)),
    )
    level = pair.new_probe.settings.get("wal_level", "")
    was = pair.old_probe.settings.get("wal_level", "")
    yield pair.row(
        "WAL level",
        f"wal_level on {pair.new.host}",
        level,
        f"{was}, as on {pair.old.host}",
        Verdict.STOP if level == "minimal" else _warn_if(level != was),
    )


def _room(pair: Pair) -> Iterator[Check]:
    wanted = len(pair.others) + 1
    senders = pair.new_ready.free_senders
    yield pair.row(
        "Room for followers",
        f"max_wal_senders and max_replication_slots on {pair.new.host}",
        f"{senders} senders and {pair.new_ready.free_slots} slots free",
        f"{wanted} senders" + (f" and {wanted} slots" if _uses_slots(pair) else ""),
        _stop_if(
            senders < wanted
            or (_uses_slots(pair) and pair.new_ready.free_slots < wanted)
        ),
    )


def _uses_slots(pair: Pair) -> bool:
    return bool(getattr(pair.new.member.cluster.ref, "use_slots", False))


def _way_back(pair: Pair) -> Iterator[Check]:
    why = pair.reached.get(pair.old.host, "")
    yield pair.row(
        "Way back",
        f"a replication connection from {pair.old.host} to {pair.new.host}",
        why or "it is let in",
        f"{pair.old.host} can follow {pair.new.host}",
        _stop_if(bool(why)),
    )
    for view in pair.others:
        if view.probe is not None and (why := pair.reached.get(view.host, "")):
            yield pair.row(
                f"Way from {view.host}",
                f"a replication connection from {view.host} to {pair.new.host}",
                why,
                f"{view.host} can follow {pair.new.host}",
                Verdict.WARN,
            )
    control = pair.old_probe.control
    rewindable = control is not None and (control.checksums or control.wal_log_hints)
    yield pair.row(
        "Rewind",
        f"pg_control of {pair.old.host}",
        "possible" if rewindable else "neither data checksums nor wal_log_hints",
        "possible, should the histories ever part",
        _warn_if(not rewindable),
    )


def _rights(pair: Pair) -> Iterator[Check]:
    locked = [view.host for view in (pair.old, pair.new) if not _is_writable(view)]
    yield pair.row(
        "Rights",
        "the data directories, as the remote user",
        f"not writable on {', '.join(locked)}" if locked else "writable on both",
        "the remote user may stop, start and promote",
        _stop_if(bool(locked)),
    )
    yield pair.row(
        "Watcher",
        f"perl on {pair.old.host}: it watches the shutdown every 2 ms",
        "there" if pair.old_probe.has_perl else "not there",
        "there",
        _stop_if(not pair.old_probe.has_perl),
    )
    managers = [
        words
        for library, words in MANAGERS.items()
        if library in f"{pair.old_ready.preload},{pair.new_ready.preload}"
    ]
    yield pair.row(
        "Other managers",
        "shared_preload_libraries of both",
        ", ".join(managers) or "none",
        "nobody else moves this primary",
        _stop_if(bool(managers)),
    )


def _is_writable(view: View) -> bool:
    return view.probe is not None and view.probe.is_writable


def _sessions(pair: Pair) -> Iterator[Check]:
    ready = pair.old_ready
    observed = f"{ready.clients} sessions"
    if ready.prepared:
        observed += f", {ready.prepared} prepared transactions"
    if ready.longest > LONG:
        observed += f", the oldest transaction {ready.longest:.0f} s old"
    yield pair.row(
        "Sessions",
        f"pg_stat_activity and pg_prepared_xacts on {pair.old.host}",
        observed,
        f"no transaction older than {LONG:.0f} s, none prepared: sessions end with "
        "the stop, prepared ones go on on the new primary",
        _warn_if(bool(ready.prepared) or ready.longest > LONG),
    )
    if ready.unlogged:
        yield pair.row(
            "Unlogged tables",
            f"pg_class on {pair.old.host}",
            f"{ready.unlogged}",
            f"none: they are empty on {pair.new.host}",
            Verdict.WARN,
        )


def _surroundings(pair: Pair) -> Iterator[Check]:
    now = pair.target.clock.now()
    skews = {
        view.host: abs((now - view.probe.host_time).total_seconds())
        for view in (pair.old, pair.new)
        if view.probe is not None and view.probe.host_time is not None
    }
    worst = max(skews.values(), default=0.0)
    yield pair.row(
        "Clocks",
        "date on both hosts",
        f"{worst:.1f} s off at most",
        f"{SKEW:.0f} s",
        _warn_if(worst > SKEW),
    )


def with_lost_followers(checks: Sequence[Check], pair: Pair) -> tuple[Check, ...]:
    """Add which members will not follow at once because they are not there."""
    absent = [view for view in pair.others if not view.is_standby]
    if not absent:
        return tuple(checks)
    row = pair.row(
        "Followers",
        "a look at every member",
        ", ".join(f"{view.host} is {view.words()}" for view in absent),
        "all run: those that do not are left to be rebuilt or started later",
        Verdict.WARN,
    )
    return (*checks, row)
