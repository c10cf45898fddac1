"""The setting ``COMMANDS``: shell templates filled with quoted values.

A template is text for the remote ``sh`` with fields in braces, as the setting
always had them: ``{COMMANDS[base]}``, ``{pgdata}``, ``{version[0]}`` and the
dotted ``{inst.herd.base_name}``. Every value is quoted for the place it stands
in, bare or inside quotes; a literal brace is doubled. A template whose quotes
cannot be followed with certainty is refused.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping

from herds.domain.cluster import ClusterRef

from .quoting import Place, Quotes, quote

KEYS = frozenset({"base", "start", "stop", "reload", "promote", "init"})
REQUIRED = frozenset({"start", "stop", "reload", "promote", "init"})

_VERSION = re.compile(r"version\[(\d)\]\Z")
_COMMAND = re.compile(r"COMMANDS\[(\w+)\]\Z")
_DEPTH = 5  # of templates that name templates

# The dotted drill-down: old name → attribute of ClusterRef.
_FIELDS: Mapping[str, str] = {
    "pgdata": "data_directory",
    "inst.local_pgdata": "data_directory",
    "inst.version": "version",
    "inst.server.hostname": "hostname",
    "inst.herd.base_name": "base_name",
    "inst.herd.herd_name": "herd_name",
    "inst.herd.db_port": "port",
    "inst.herd.vhost": "vhost",
    "inst.herd.pgdata": "data_directory",
    "inst.herd.environment.env_name": "environment",
}


class TemplateProblem(ValueError):
    """A template of ``COMMANDS`` that cannot be used; the text says why."""


class CommandTemplates:
    """The templates of ``COMMANDS``, ready to be filled for a cluster."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        """Take the setting.

        Raises:
            TemplateProblem: a key, field or brace that means nothing.
        """
        problems = validate(templates)
        if problems:
            raise TemplateProblem(problems[0])
        self._templates = dict(templates)

    def render(self, name: str, cluster: ClusterRef) -> str:
        """Fill one template.

        Args:
            name: a key of the setting, such as ``"stop"``.
            cluster: what the fields are taken from; its version may be empty
                only if no template asks for it.

        Returns:
            Text for ``sh -c``.

        Raises:
            TemplateProblem: the template asks for a value that is not known.
        """
        return self._fill(self._templates[name], cluster, depth=0)

    def _fill(self, template: str, cluster: ClusterRef, depth: int) -> str:
        parts: list[str] = []
        for literal, field, place in _pieces(template):
            parts.append(literal)
            if field is None:
                continue
            command = _COMMAND.match(field)
            if command:
                parts.append(
                    self._fill(self._templates[command[1]], cluster, depth + 1)
                )
            else:
                parts.append(quote(_value(field, cluster), place))
        return "".join(parts)


def validate(templates: Mapping[str, str]) -> list[str]:
    """Tell what is wrong with the setting, a sentence a problem; none is fine."""
    problems = [
        f"COMMANDS has no use for the key {key!r}; it knows {', '.join(sorted(KEYS))}."
        for key in sorted(set(templates) - KEYS)
    ]
    problems += [
        f"COMMANDS lacks the key {key!r}." for key in sorted(REQUIRED - set(templates))
    ]
    for key in sorted(KEYS & set(templates)):
        problems += [
            f"COMMANDS[{key!r}]: {problem}"
            for problem in _problems_of(templates[key], templates)
        ]
    if not problems:
        problems = [
            f"COMMANDS[{key!r}] names itself."
            for key in sorted(templates)
            if _depth(key, templates) > _DEPTH
        ]
    return problems


def _problems_of(template: object, templates: Mapping[str, str]) -> Iterator[str]:
    if not isinstance(template, str) or not template.strip():
        yield "a template is a text that is not empty."
        return
    if "\0" in template:
        yield "a NUL byte cannot stand in a command."
    try:
        pieces = list(_pieces(template))
    except ValueError as problem:
        yield f"{problem}."
        return
    for _, field, place in pieces:
        if field is None:
            continue
        command = _COMMAND.match(field)
        if command and command[1] not in templates:
            yield f"{{{field}}} names a template that does not exist."
        elif command and place is not Place.BARE:
            yield f"{{{field}}} is a command and cannot stand inside quotes."
        elif not command and not _VERSION.match(field) and field not in _FIELDS:
            yield f"{{{field}}} is no field; known are {', '.join(sorted(_FIELDS))}."


def _depth(key: str, templates: Mapping[str, str], level: int = 0) -> int:
    if level > _DEPTH:
        return level
    named = [
        match[1]
        for _, field, _ in _pieces(templates[key])
        if field is not None and (match := _COMMAND.match(field))
    ]
    return max((_depth(name, templates, level + 1) for name in named), default=level)


def _pieces(template: str) -> Iterator[tuple[str, str | None, Place]]:
    """Split a template into literals, fields, and the quotes each field stands in."""
    quotes = Quotes()
    for literal, field, spec, conversion in string.Formatter().parse(template):
        quotes.read(literal)
        if spec or conversion:
            raise TemplateProblem(f"{{{field}}} is written without '!' and ':'")
        if field is not None:
            quotes.admit(field)
        yield literal, field, quotes.place
    quotes.end()


def _value(field: str, cluster: ClusterRef) -> str:
    part = _VERSION.match(field)
    if part:
        numbers = version_parts(cluster.version)
        if int(part[1]) >= len(numbers):
            raise TemplateProblem(
                f"{{{field}}} is asked for, but the version of "
                f"{cluster.herd_name} on {cluster.hostname} is "
                f"{cluster.version or 'not known'}"
            )
        return numbers[int(part[1])]
    return str(getattr(cluster, _FIELDS[field]))


def version_parts(version: str) -> list[str]:
    """Give the numbers of a version; a prerelease such as 18beta1 has one."""
    return re.findall(r"\d+", re.split(r"[^\d.]", version)[0])
