"""*Attention* as the front page draws it: marks, pages, and buttons that help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.http import urlencode

from herds.admin.badges import Health
from herds.operations import registry
from herds.selectors.attention import Help, Kind, Line, Section, survey
from herds.selectors.rights import rights_of
from herds.selectors.trouble import HERD_KINDS, INSTANCE_KINDS

_MARKS = {
    Kind.SPLIT: (Health.FAILED, "now"),
    Kind.UNFENCED: (Health.FAILED, "now"),
    Kind.NO_PRIMARY: (Health.FAILED, "now"),
    Kind.NO_WORKER: (Health.FAILED, "now"),
    Kind.PRIMARY_UNKNOWN: (Health.UNKNOWN, "unknown"),
    Kind.UNSEEN: (Health.UNKNOWN, "unknown"),
}
_SOON = (Health.ATTENTION, "soon")


@dataclass(frozen=True, kw_only=True)
class Button:
    """What helps with one line.

    Attributes:
        is_link: whether it leads to a page, and plans nothing by itself.
    """

    label: str
    url: str
    name: str
    is_link: bool = False


@dataclass(frozen=True, kw_only=True)
class AttentionLine:
    """Something that needs a person, the page that tells more, and what helps."""

    key: str
    words: str
    health: Health
    mark: str
    url: str
    buttons: tuple[Button, ...]
    since: datetime | None
    seen_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Rest:
    """How much more there is of one kind, and the list of all of it."""

    count: int
    url: str


@dataclass(frozen=True, kw_only=True)
class AttentionPart:
    """The lines of one kind, and how many more there are."""

    name: str
    lines: tuple[AttentionLine, ...]
    rest: Rest | None


@dataclass(frozen=True, kw_only=True)
class Panel:
    """All of *Attention* that one person may see."""

    parts: tuple[AttentionPart, ...]

    @property
    def lines(self) -> list[AttentionLine]:
        """Give all lines, worst first."""
        return [line for part in self.parts for line in part.lines]

    @property
    def summary(self) -> str:
        """Tell in a few words how much there is: it is read out when it changes."""
        marks = [line.mark for line in self.lines]
        more = sum(part.rest.count for part in self.parts if part.rest)
        told = [f"{marks.count(word)} {word}" for word in ("now", "soon", "unknown")]
        parts = [each for each in told if not each.startswith("0 ")]
        return ", ".join([*parts, *([f"{more:,} more in the lists"] if more else [])])


def attention_panel(request: HttpRequest) -> Panel:
    """Prepare what needs a person, for one who may see and do only so much."""
    return Panel(
        parts=tuple(
            AttentionPart(
                name=section.kind.value,
                lines=tuple(_drawn(request, line) for line in section.lines),
                rest=_rest(section),
            )
            for section in survey()
            if section.lines and _may_see(request, section)
        )
    )


def _may_see(request: HttpRequest, section: Section) -> bool:
    """Tell whether this person may see what a section is about."""
    model = section.lines[0].model
    if section.kind is Kind.UNSEEN:
        model = "instance"
    elif section.kind is Kind.PRIMARY_UNKNOWN:
        model = "herd"
    return model == "worker" or request.user.has_perm(f"herds.view_{model}")


def _drawn(request: HttpRequest, line: Line) -> AttentionLine:
    health, mark = _MARKS.get(line.kind, _SOON)
    return AttentionLine(
        key=line.key.replace(":", "-"),
        words=line.words,
        health=health,
        mark=mark,
        url=_page_of(line),
        buttons=tuple(
            button for each in line.helps for button in _buttons(request, line, each)
        ),
        since=line.since,
        seen_at=line.seen_at,
    )


def _page_of(line: Line) -> str:
    """Give the page that tells more; of a group, the list of all that is in it."""
    if line.model == "worker":
        return ""
    if line.model == "environment":
        return _list_of(line.kind, line.pk)
    return _address(f"herds_{line.model}_change", line.pk)


_LISTS: dict[Kind, tuple[str, dict[str, str]]] = {
    Kind.INTERRUPTED: ("operation", {"state": "interrupted"}),
    Kind.HOST_TO_PLACE: ("server", {"environment__isnull": "True"}),
    Kind.INSTANCE_TO_PLACE: ("discovery", {}),
    **{kind: ("herd", {"attention": kind.value}) for kind in HERD_KINDS},
    **{kind: ("instance", {"attention": kind.value}) for kind in INSTANCE_KINDS},
}


def _list_of(kind: Kind, environment: int | None = None) -> str:
    """Give the list of all that has a trouble; ``environment`` 0 is for none."""
    model, query = _LISTS[kind]
    if environment is not None:
        column = "environment" if model == "herd" else "herd__environment"
        query = query | (
            {f"{column}__environment_id__exact": str(environment)}
            if environment
            else {f"{column}__isnull": "True"}
        )
    address = _address(f"herds_{model}_changelist")
    return f"{address}?{urlencode(query)}" if address and query else address


def _rest(section: Section) -> Rest | None:
    if section.more < 1:
        return None
    return Rest(count=section.more, url=_list_of(section.kind))


def _buttons(request: HttpRequest, line: Line, help_: Help) -> Iterator[Button]:
    """Offer what helps to whoever has the permission; the engine checks it again."""
    if help_.action == "place":
        yield from _placing(request, help_)
        return
    known = {action.name: action for action in registry.all_actions()}
    action = known.get(help_.of or help_.action)
    if action is None or not _may(request, line, action.permission):
        return
    name = f"{help_.action}-{help_.model}-{help_.pk}"
    if help_.action == "resume":
        url = _address("herds_operation_resume", help_.pk)
        yield Button(label="Resume", url=url, name=name)
    elif help_.model in {"environment", "server"}:
        url = _address("front_refresh", help_.model, help_.pk)
        yield Button(label=action.verb, url=url, name=name)
    else:
        label = action.button_in(help_.model) + ("…" if action.confirm else "")
        url = _address(f"herds_{help_.model}_operate", help_.pk, action.name)
        yield Button(label=label, url=url, name=name)


def _may(request: HttpRequest, line: Line, permission: str) -> bool:
    """Tell whether to offer it; an operation may lie in several environments."""
    rights = rights_of(request.user)
    if line.model == "operation":
        return rights.may_somewhere(permission)
    return rights.may_in(permission, line.environment)


def _placing(request: HttpRequest, help_: Help) -> Iterator[Button]:
    permission, page = {
        "server": ("herds.change_server", "herds_server_change"),
        "discovery": ("herds.place_discovery", "herds_discovery_place"),
    }[help_.model]
    url = _address(page, help_.pk)
    if url and request.user.has_perm(permission):
        name = f"place-{help_.model}-{help_.pk}"
        yield Button(label="Place…", url=url, name=name, is_link=True)


def _address(name: str, *args: object) -> str:
    """Give the address of a page; empty where this site has none."""
    try:
        return reverse(f"admin:{name}", args=args)
    except NoReverseMatch:
        return ""
