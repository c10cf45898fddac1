"""Reads a page of the admin as a person does: its text, its tables, its links."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

LISTS = {
    "environment": "/admin/herds/environment/",
    "herd": "/admin/herds/herd/",
    "server": "/admin/herds/server/",
    "instance": "/admin/herds/instance/",
    "disasterrecovery": "/admin/herds/disasterrecovery/",
    "discovery": "/admin/herds/discovery/",
}


class Page(HTMLParser):
    """A page taken apart.

    Attributes:
        text: what can be read, with single spaces.
        tables: by caption or id, rows of cell texts, the heading first.
        links: the address behind each link's text; the last one wins.
        inputs: names and values of the form fields that are not buttons.
        inline: scripts, styles and handlers that stand in the page itself.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tables: dict[str, list[list[str]]] = {}
        self.links: dict[str, str] = {}
        self.inputs: dict[str, str] = {}
        self.inline: list[str] = []
        self._name = ""
        self._open: list[tuple[str, int, dict[str, str]]] = []
        self.feed(html)
        self.close()
        self.text = _spaced(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where an element begins in the text."""
        given = {name: value or "" for name, value in attrs}
        self.inline += [name for name in given if name.startswith("on")]
        if "style" in given:
            self.inline.append(given["style"])
        if tag == "input" and given.get("type") not in {"submit", "button"}:
            if given.get("type") != "checkbox" or "checked" in given:
                value = "on" if given.get("type") == "checkbox" else ""
                self.inputs[given.get("name", "")] = given.get("value", value)
            return
        if tag == "table":
            self._name = given.get("id", "")
            self.tables[self._name] = []
        if tag == "tr" and self.tables:
            self.tables[self._name].append([])
        self._open.append((tag, len(self.text), given))

    def handle_endtag(self, tag: str) -> None:
        """Keep what the element held."""
        while self._open:
            opened, begin, given = self._open.pop()
            if opened == tag:
                self._keep(tag, self.text[begin:], given)
                return

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self.text += data

    def _keep(self, tag: str, text: str, given: dict[str, str]) -> None:
        words = _spaced(text)
        if tag == "a":
            self.links[words] = given.get("href", "")
        elif tag in {"td", "th"} and self.tables and self.tables[self._name]:
            self.tables[self._name][-1].append(words)
        elif tag == "caption":
            self.tables[words] = self.tables.pop(self._name)
            self._name = words
        elif tag in {"script", "style"} and words:
            self.inline.append(words)


def visit(client: Client, address: str) -> Page:
    """Open a page that is there."""
    response = client.get(address)
    assert response.status_code == 200, (address, response.status_code)
    return Page(response.content.decode())


def rows(page: Page) -> list[list[str]]:
    """Return the rows of a list without its heading and its tick boxes."""
    found = page.tables.get("result_list", [])[1:]
    return [[cell for cell in row if cell] for row in found]


def column(page: Page, number: int) -> list[str]:
    """Return one column of a list, counted from 0 without the tick boxes."""
    return [row[number] for row in rows(page)]


def queries_of(client: Client, address: str, **more: Any) -> list[str]:
    """Return the SQL of one page, once the session and content types are known."""
    client.get(address, **more)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address, **more).status_code == 200
    return [query["sql"] for query in captured.captured_queries]


def _spaced(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
