"""Links out of the pages of herds and instances, by templates of addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from urllib.parse import quote, urlsplit

KINDS: Mapping[str, frozenset[str]] = {
    "herd": frozenset({"herd", "cluster", "environment", "port", "vhost"}),
    "instance": frozenset(
        {"herd", "cluster", "environment", "port", "vhost", "host", "version"}
    ),
}
"""What has links, and the fields that its addresses may use."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link to another program's page about a herd or an instance."""

    label: str
    url: str


def links(
    templates: Mapping[str, Mapping[str, str]], kind: str, values: Mapping[str, object]
) -> list[Link]:
    """Fill the templates of a kind; each value is quoted, so it stays one value.

    Args:
        templates: the setting ``LINKS``, which ``problems`` has found nothing wrong in.
        kind: one of ``KINDS``.
        values: by field; a field that is not here is left empty.
    """
    quoted = {
        field: quote(str(values.get(field, "")), safe="") for field in KINDS[kind]
    }
    return [
        Link(label=label, url=of_kinds[kind].format_map(quoted))
        for label, of_kinds in templates.items()
        if kind in of_kinds
    ]


def problems(templates: object) -> Iterator[str]:
    """Tell what is wrong with the setting ``LINKS``, a sentence a problem."""
    if not isinstance(templates, Mapping):
        yield f"LINKS is a dictionary, not {templates!r}."
        return
    for label, of_kinds in templates.items():
        at = f"LINKS[{label!r}]"
        if not isinstance(label, str) or not label.strip():
            yield f"{at}: a label is a text that is not empty."
        elif not isinstance(of_kinds, Mapping):
            yield f"{at} is a dictionary, not {of_kinds!r}."
        else:
            for kind, template in of_kinds.items():
                if kind not in KINDS:
                    yield f"{at} has no use for {kind!r}; it knows {_listed(KINDS)}."
                elif reason := _refusal(template, KINDS[kind]):
                    yield f"{at}[{kind!r}] {reason}."


def _refusal(template: object, allowed: frozenset[str]) -> str:
    """Tell why this is no template of an address; empty when it is one."""
    if not isinstance(template, str):
        return f"is an address, not {template!r}"
    try:
        parts = list(Formatter().parse(template))
        address = urlsplit(template)
    except ValueError as error:
        return f"cannot be read ({error})"
    if address.scheme not in {"http", "https"} or not address.netloc:
        return "is not an address that begins with https:// or http:// and a host"
    if {"{", "}"} & set(address.netloc):
        return "has a field in its host name, which has to be a fixed one"
    for _, field, spec, conversion in parts:
        if field is None:
            continue
        if field not in allowed:
            return f"has no use for {{{field}}}; it knows {_listed(allowed)}"
        if spec or conversion:
            return f"says how {{{field}}} is written, which is not for it to say"
    return ""


def _listed(names: Mapping[str, object] | frozenset[str]) -> str:
    return ", ".join(sorted(names))
