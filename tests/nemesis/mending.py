"""Makes a herd whole after a run: by the product's own actions, else by the lab."""

from __future__ import annotations

import time
from dataclasses import dataclass

from lab import LabError
from lab.clusters import program
from tests.nemesis.asking import do
from tests.nemesis.evidence import Herd
from tests.nemesis.scene import Scene

_FOLLOWS_SOON = 4.0  # seconds that a standby has to find its primary
_SOON = 15.0


@dataclass(frozen=True)
class Mended:
    """Who made the herd whole, and what was said meanwhile."""

    by: str
    words: str
    herd: Herd


def make_whole(scene: Scene, rightful: str) -> Mended:
    """Have one writer and two standbys that stream from it.

    Args:
        scene: the herd, with its hosts up and its network healed.
        rightful: who is to take writes.
    """
    said: list[str] = []
    if _by_product(scene, rightful, said):
        return Mended("product", "; ".join(said), _equal(scene))
    words = "; ".join(said)
    by_lab(scene)
    return Mended("lab", words, _equal(scene))


def _by_product(scene: Scene, rightful: str, said: list[str]) -> bool:
    seen = scene.look_until(scene.all_follow, _FOLLOWS_SOON)
    if scene.all_follow(seen):
        return True

    def tell(action: str, host: str) -> bool:
        state, words = do(scene, action, host)
        said.append(f"{action} {host}: {state}, {words}")
        return state in {"succeeded", "follow-ups"}

    for host in scene.members:
        tell("refresh", host)
    found = scene.writers(seen)
    if not found:
        tell("start", rightful)
        seen = scene.look_until(lambda now: bool(scene.writers(now)), 2.0)
        found = scene.writers(seen)
    if len(found) > 1:
        for host in found:
            if host != rightful:
                tell("demote", host)
        found = scene.writers(scene.look())
    if len(found) != 1:
        return False
    for host in scene.members:
        if host == found[0]:
            continue
        seen = scene.look()
        if scene.all_follow(seen, [host]):
            continue
        if seen[host] is None and tell("start", host):
            seen = scene.look_until(
                lambda now, host=host: scene.all_follow(now, [host]),  # type: ignore[misc]
                _FOLLOWS_SOON,
            )
        if not scene.all_follow(seen, [host]):
            tell("rebuild", host)
    return scene.all_follow(scene.look_until(scene.all_follow, _SOON))


def _equal(scene: Scene) -> Herd:
    """Look at the herd once its standbys have what the primary has."""

    def is_equal(seen: Herd) -> bool:
        rows = {None if each is None else each.rows for each in seen.values()}
        return len(rows) == 1 and scene.all_follow(seen)

    return scene.look_until(is_equal, _SOON)


def by_lab(scene: Scene) -> None:
    """Keep the member on the highest timeline, and copy the others from it anew.

    Raises:
        LabError: not even that helps.
    """
    for host in scene.members:
        scene.lab.boot(host)
    scene.lab.heal()
    primary = max(scene.members, key=lambda host: _timeline(scene, host))
    others = [host for host in scene.members if host != primary]
    for host in others:
        scene.pg_ctl(host, "-m", "immediate", "-w", "stop")
    scene.in_data(primary, "rm -f standby.signal recovery.signal elephaas.incomplete")
    seen = scene.facts(primary)
    if seen is None or seen.in_recovery:
        scene.pg_ctl(primary, "-m", "fast", "-w", "stop")
        scene.pg_ctl(primary, "-w", *scene.start_words(), check=True)
    for setting in ("synchronous_standby_names", "archive_command"):
        scene.try_sql(primary, f"ALTER SYSTEM RESET {setting}")
    scene.try_sql(primary, "SELECT pg_reload_conf()")
    scene.lead(primary)
    for host in others:
        _copy(scene, primary, host)
    seen_all = scene.look_until(scene.all_follow, 30.0)
    if not scene.all_follow(seen_all):
        raise LabError(f"The lab cannot make {scene.herd} whole: {seen_all}")


def _timeline(scene: Scene, host: str) -> tuple[int, int]:
    """Rank a member by its timeline, by whether it takes writes then."""
    seen = scene.facts(host)
    if seen is not None:
        return seen.timeline, int(not seen.in_recovery)
    control = scene.lab.exec(
        host,
        [program(scene.spec, "pg_controldata"), "-D", scene.spec.data_root],
        user="postgres",
        check=False,
    ).stdout
    for line in control.splitlines():
        name, _, value = line.partition(":")
        if name == "Latest checkpoint's TimeLineID":
            return int(value), 0
    return 0, 0


def _copy(scene: Scene, primary: str, host: str) -> None:
    name = f"application_name={scene.herd}_{host}"
    where = f"port={scene.spec.port} user=replication {name}"
    keep = "find . -mindepth 1 -maxdepth 1 -exec rm -rf {} +"
    scene.in_data(host, keep)
    basebackup = [program(scene.spec, "pg_basebackup"), "-D", scene.spec.data_root]
    basebackup += ["-d", f"host={primary} {where}", "-c", "fast", "-w"]
    scene.lab.exec(host, basebackup, user="postgres", timeout=120)
    vhost = scene.lab.state.vhost(scene.herd)
    follow = f"primary_conninfo = 'host={vhost} {where} tcp_user_timeout=3000'\n"
    scene.in_data(
        host,
        'touch standby.signal; printf %s "$1" >postgresql.auto.conf',
        follow,
    )
    scene.pg_ctl(host, "-w", *scene.start_words(), check=True)


def await_hosts(scene: Scene, seconds: float = 20.0) -> None:
    """Wait until every host that was booted is in the network again."""
    deadline = time.monotonic() + seconds
    for host in scene.members:
        while time.monotonic() < deadline:
            done = scene.lab.exec(host, ["true"], check=False)
            if done.returncode == 0:
                break
            time.sleep(0.05)
