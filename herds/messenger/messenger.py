"""Sends a message to the receivers that a file lists, each by itself, with Apprise."""

from __future__ import annotations

import hashlib
import logging
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import apprise

from herds.errors import PreconditionFailed

MOST_WORDS = 4000
"""Characters of a message; chats refuse longer ones."""

_FORMAT = apprise.NotifyFormat.TEXT


@dataclass(frozen=True)
class Receiver:
    """One place that messages go to.

    Attributes:
        key: stays the same for the same address; tells nothing of it.
        name: its address for people, without passwords and tokens.
    """

    key: str
    name: str
    _service: apprise.NotifyBase

    def send(self, title: str, body: str) -> bool:
        """Send a message; tell whether it was taken.

        It takes as long as the receiver's own timeouts, some seconds at most.
        """
        try:
            return bool(
                self._service.notify(
                    title=title, body=body[:MOST_WORDS], body_format=_FORMAT
                )
            )
        except Exception:
            # A plugin's own mistake is one receiver's trouble, not all others'.
            logging.getLogger(__name__).exception("A message to %s failed", self.name)
            return False


class Messenger:
    """The receivers of a file, in Apprise's format (YAML, or an address a line).

    A receiver hears of the environments that it has as tags; one tagged ``always``
    hears of all.

    Args:
        file: only this service may read it: addresses hold passwords.

    Raises:
        PreconditionFailed: it cannot be read, others can read it, or an address in it
            means nothing.
    """

    def __init__(self, file: Path) -> None:
        _refuse_readable(file)
        configuration = apprise.AppriseConfig()
        self._all = apprise.Apprise()
        self._all.add(configuration)
        if not configuration.add(str(file)) or not len(self._all):
            raise PreconditionFailed(
                f"{file} lists no receiver that can be understood.",
                hint="docs/notifications.md shows how it is written.",
            )

    def receivers(self, environments: frozenset[str]) -> Iterator[Receiver]:
        """Give who is to hear of something in these environments.

        Args:
            environments: their names; none for what concerns the whole site.
        """
        wanted = [tag(name) for name in sorted(environments)]
        for service in self._all.find(tag=wanted or ["always"], match_always=True):
            whole, shown = (
                str(service.url(privacy=private))  # type: ignore[no-untyped-call]
                for private in (False, True)
            )
            key = hashlib.sha256(whole.encode()).hexdigest()[:16]
            yield Receiver(key, shown, service)


def tag(environment: str) -> str:
    """Write an environment's name as a tag: small letters, no spaces or commas."""
    return "-".join(environment.lower().replace(",", " ").split())


def _refuse_readable(file: Path) -> None:
    try:
        mode = file.stat().st_mode
    except OSError as error:
        raise PreconditionFailed(
            f"The receivers of notifications in {file} cannot be read "
            f"({error.strerror}).",
            hint="Let CONFIG_FILE in NOTIFICATIONS name one that this service reads.",
        ) from error
    if mode & stat.S_IRWXO:
        raise PreconditionFailed(
            f"Other users of this machine can read {file} "
            f"(mode {stat.S_IMODE(mode):o}), and the passwords in it.",
            hint=f"Close it: chmod o= {file}",
        )
