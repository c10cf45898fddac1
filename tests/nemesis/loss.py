"""How a failover's primary is lost, and what a person does about it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from lab import LabError
from tests.nemesis.scene import Scene

KILLED = "killed"
POWERED_OFF = "powered-off"
CUT = "cut"

LOSSES = (KILLED, POWERED_OFF, CUT)
"""The kinds: its server dies, its host loses its power, or its network."""


class Loss:
    """One loss of the old primary, before anybody asks for a failover."""

    def __init__(self, scene: Scene, kind: str) -> None:
        self._scene = scene
        self._kind = kind
        self._struck = False

    def strike(self) -> None:
        """Lose the primary."""
        scene, old = self._scene, self._scene.old
        self._struck = True
        scene.touched.add(old)
        if self._kind == KILLED:
            scene.signal(old, "KILL", scene.postmaster(old))
            return
        scene.reachable.discard(old)
        if self._kind == POWERED_OFF:
            scene.lab.kill(old)
        else:
            scene.lab.cut(old)

    def fence(self) -> Mapping[str, str]:
        """Do what a person says who attests that the primary cannot come back.

        Returns:
            The choice that says so; none where the product can reach its host.
        """
        if self._kind == KILLED:
            return {}
        # A word is kept: whoever says that it is off has turned it off.
        self._scene.lab.kill(self._scene.old)
        return {"fence": "power_off"}

    def mend(self) -> None:
        """Give the host its power and network back, its server staying down.

        Whoever attests that a server is off sees to it that it does not come back on
        its own; the product can write nothing on a host that it does not reach.
        """
        scene, old = self._scene, self._scene.old
        if not self._struck:
            return
        if scene.lab.state.running(old) is None:
            autostart(scene, old, on=False)
            scene.lab.boot(old)
            autostart(scene, old, on=True)
        with suppress(LabError):
            scene.lab.heal(old)


def autostart(scene: Scene, host: str, *, on: bool) -> None:
    """Have a host start its member when it gets its power, or not."""
    etc = scene.lab.state.disk(host) / "etc"
    if scene.spec.packaging == "debian":
        path = etc / f"postgresql/{scene.spec.version}/{scene.herd}/start.conf"
        if scene.lab.state.running(host) is None:
            path.write_text("auto\n" if on else "manual\n")
        else:
            write = ["sh", "-c", 'cat >"$1"', "sh"]
            inside = f"/etc/postgresql/{scene.spec.version}/{scene.herd}/start.conf"
            scene.lab.exec(host, [*write, inside], stdin="auto\n" if on else "manual\n")
        return
    mode = "0755" if on else "0644"
    if scene.lab.state.running(host) is None:
        (etc / "rc.local").chmod(int(mode, 8))
    else:
        scene.lab.exec(host, ["chmod", mode, "/etc/rc.local"])
