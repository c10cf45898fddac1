"""Makes a herd whole after a run: by the product's own actions, else by the lab."""

from __future__ import annotations

from dataclasses import dataclass

from lab import LabError
from lab.clusters import program
from tests.nemesis.asking import do
from tests.nemesis.checker import GOOD
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
    product = _Product(scene, rightful)
    is_whole = product.mends()
    if not is_whole:
        by_lab(scene, rightful)
    by = "product" if is_whole else "lab"
    return Mended(by, "; ".join(product.said), _equal(scene))


class _Product:
    """The product as a person uses it who wants the herd whole."""

    def __init__(self, scene: Scene, rightful: str) -> None:
        self.said: list[str] = []
        self._scene = scene
        self._rightful = rightful

    def mends(self) -> bool:
        """Make the herd whole; tell whether it is."""
        scene = self._scene
        if scene.all_follow(scene.look_until(scene.all_follow, _FOLLOWS_SOON)):
            return True
        for host in scene.members:
            self._tell("refresh", host)
        if self._rightful not in scene.writers(scene.look()):
            self._tell("start", self._rightful)
        if scene.cname() != self._rightful:
            self._tell("refresh_dns", self._rightful)
        others = [host for host in scene.members if host != self._rightful]
        # Who has followers is not demoted before they follow somebody else.
        others.sort(key=lambda host: host in scene.writers(scene.look()))
        for host in others:
            if not self._follows(host, 0.0):
                self._bring_back(host)
        return scene.all_follow(scene.look_until(scene.all_follow, _SOON))

    def _bring_back(self, host: str) -> None:
        scene = self._scene
        if scene.is_prepared(host):
            self._tell("start", host)
            if self._follows(host, _FOLLOWS_SOON):
                return
        if not self._tell("rebuild", host):
            self._tell("demote", host)

    def _follows(self, host: str, seconds: float) -> bool:
        def does(seen: Herd) -> bool:
            return self._scene.follows(seen, host, self._rightful)

        return does(self._scene.look_until(does, seconds))

    def _tell(self, action: str, host: str) -> bool:
        state, words = do(self._scene, action, host)
        self.said.append(f"{action} {host}: {state}, {words}")
        return state in GOOD


def _equal(scene: Scene) -> Herd:
    """Look at the herd once its standbys have what the primary has."""

    def is_equal(seen: Herd) -> bool:
        rows = {None if each is None else each.rows for each in seen.values()}
        return len(rows) == 1 and scene.all_follow(seen)

    return scene.look_until(is_equal, _SOON)


def by_lab(scene: Scene, rightful: str = "") -> None:
    """Keep the rightful primary, and copy the others from it anew.

    Args:
        scene: the herd.
        rightful: who is kept if it takes writes; else it is whoever is on the highest
            timeline.

    Raises:
        LabError: not even that helps.
    """
    for host in scene.members:
        scene.lab.boot(host)
    scene.lab.heal()
    primary = rightful
    if rightful not in scene.writers(scene.look()):
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
