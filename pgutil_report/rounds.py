"""One round of the agent: find, look at each, tell what is news."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from pgutil_report import finders, news, state
from pgutil_report.config import Config, Upstream
from pgutil_report.look import Looker, NoInstance
from pgutil_report.values import Candidate, Instance

_AT_ONCE = 4
"""Instances looked at side by side, so that one that hangs holds up few."""

_OTHERS_SECONDS = 30.0


class Teller(Protocol):
    """The metadata database as this module uses it; see ``upstream.Metadata``."""

    def discover(self, host: str) -> None:
        """Make the host known."""

    def check_in(self, arguments: dict[str, Any]) -> int | None:
        """Report an instance."""

    def close(self) -> None:
        """End the connection."""


@dataclass
class Outcome:
    """What a round came to.

    Attributes:
        instances: what was seen.
        told: reports that were taken, or with a dry run would be made.
        troubles: sentences about instances that could not be looked at.
        untold: sentences about what did not get through to the metadata database.
    """

    instances: list[Instance] = field(default_factory=list)
    told: list[news.Report] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)


def observe(places: finders.Places, looker: Looker) -> tuple[list[Instance], list[str]]:
    """Return the instances of this host, and sentences about what went wrong."""
    candidates, troubles = finders.find(places)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        looks = list(pool.map(lambda each: _look(looker, each), candidates))
    instances = [found for found in looks if isinstance(found, Instance)]
    troubles += [found for found in looks if isinstance(found, str)]
    for instance in instances:
        if instance.trouble:
            troubles.append(f"{instance.data_directory}: {instance.trouble}")
    return sorted(instances, key=lambda each: (each.port, each.place)), troubles


def _look(looker: Looker, candidate: Candidate) -> Instance | str | None:
    try:
        return looker.look(candidate)
    except NoInstance:
        return None  # Lock files and units outlive what they name.
    # Whatever is wrong with one instance, the others are reported.
    except Exception as error:
        return f"{candidate.data_directory} could not be looked at: {error}"


class Round:
    """What a round needs: the configuration, eyes, a voice and a memory.

    Args:
        connect: gives a connection to the metadata database.
        away: the errors that mean it cannot be reached.
        refused: the errors that mean that it did not take one report.
        state_path: of the state file.
    """

    def __init__(
        self,
        config: Config,
        looker: Looker,
        connect: Callable[[Upstream], Teller],
        away: type[Exception],
        refused: type[Exception],
        state_path: str,
    ) -> None:
        self._config = config
        self._looker = looker
        self._connect = connect
        self._away = away
        self._refused = refused
        self._state_path = state_path

    @property
    def _bounds(self) -> news.Bounds:
        return news.Bounds(self._config.heartbeat, self._config.position_bytes)

    def _target(self) -> str:
        upstream = self._config.upstream
        return f"{self._config.host_name} {upstream.place if upstream else ''}".strip()

    def _places(self, known: Sequence[str]) -> finders.Places:
        places = finders.Places()
        return finders.Places(
            roots=self._config.data_roots,
            sockets=(*self._config.socket_directories, *places.sockets),
            remembered=tuple(known),
        )

    def look(self) -> Outcome:
        """Return what would be reported, and report nothing.

        Raises:
            state.Unsafe: when the state file cannot be trusted.
        """
        known, trouble = state.read(self._state_path)
        known.aim(self._target())
        outcome = Outcome()
        outcome.instances, outcome.troubles = observe(
            self._places(list(known.sent)), self._looker
        )
        if trouble:
            outcome.troubles.insert(0, trouble)
        outcome.told = list(
            news.reports(outcome.instances, known, self._bounds, time.time())
        )
        return outcome

    def run(self) -> Outcome:
        """Report what is news; what does not get through is news next time.

        Raises:
            state.Unsafe: when the state file cannot be trusted or kept.
        """
        with state.held(self._state_path, _OTHERS_SECONDS):
            known, trouble = state.read(self._state_path)
            known.aim(self._target())
            outcome = Outcome()
            outcome.instances, outcome.troubles = observe(
                self._places(list(known.sent)), self._looker
            )
            if trouble:
                outcome.troubles.insert(0, trouble)
            due = list(
                news.reports(outcome.instances, known, self._bounds, time.time())
            )
            if due or news.is_due(known.heard_at, self._config.heartbeat, time.time()):
                self._tell(due, known, outcome)
                state.write(self._state_path, known)
            return outcome

    def _tell(
        self, due: Sequence[news.Report], known: state.State, outcome: Outcome
    ) -> None:
        upstream = self._config.upstream
        if upstream is None:
            outcome.untold.append("No metadata database is configured.")
            return
        left = len(due)
        try:
            teller = self._connect(upstream)
            try:
                if not known.heard_at or not due:
                    self._tell_host(teller, known, outcome)
                for report in due:
                    self._tell_one(teller, report, known, outcome)
                    left -= 1
            finally:
                teller.close()
        except self._away as error:
            outcome.untold.append(
                f"The metadata database {upstream.place} cannot be reached: {error}. "
                f"{_count(left)} not reported; the next run does it."
            )

    def _tell_host(self, teller: Teller, known: state.State, outcome: Outcome) -> None:
        host = self._config.host_name
        try:
            teller.discover(host)
            known.heard_at = time.time()
        except self._refused as error:
            outcome.untold.append(f"Host {host} was not taken: {error}.")

    def _tell_one(
        self,
        teller: Teller,
        report: news.Report,
        known: state.State,
        outcome: Outcome,
    ) -> None:
        try:
            teller.check_in(report.arguments(self._config.host_name))
        except self._refused as error:
            outcome.untold.append(f"{report.place} was not taken: {error}.")
            return
        news.remember(known, report, time.time())
        outcome.told.append(report)


def _count(number: int) -> str:
    return {0: "The host is", 1: "One instance is"}.get(
        number, f"{number} instances are"
    )
