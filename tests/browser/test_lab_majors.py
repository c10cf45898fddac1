"""Replicas of every major are asked for as people do: in a browser, at a terminal.

Each operation works on the herds of all majors at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django import DjangoDbBlocker

from herds.models import Environment, Herd, Instance, Operation, Server
from lab import Layout
from tests.browser.pictures import picture
from tests.browser.screens import log_in
from tests.lab.majors import MAJORS, Pairs, herd, lab_of
from tests.lab.metadata import MetadataServer
from tests.lab.product import Product, ended, finish, said

pytestmark = [pytest.mark.lab, pytest.mark.browser]

LAYOUT = Layout(
    hosts=("ele01", "ele02"),
    herds=tuple(
        herd(major, 5400 + int(major), "ele01", packaging="debian") for major in MAJORS
    ),
)
"""A primary of every major on one host, and one that has nothing yet."""

INSTANCES = "/admin/herds/instance/"
LONG = 60_000  # milliseconds for what hosts have to do


class Hands(Protocol):
    """What people have the product do, for the members of all herds on a host."""

    def register(self, host: str) -> None:
        """Have a replica of every herd on a host that has none."""

    def do(self, action: str, host: str, method: str = "") -> Operation:
        """Have an action carried out, by the rung that is named."""


class AtTheBrowser:
    """Ticks, reads and says yes in the admin's pages."""

    def __init__(self, page: Page, pairs: Pairs) -> None:
        self.page = page
        self.pairs = pairs

    def register(self, host: str) -> None:
        """Fill in the form of a new instance for each herd, and say yes to each."""
        self.page.goto(f"{INSTANCES}add/")
        plans = []
        for name in self.pairs.herds:
            self.page.select_option("#id_herd", label=f"{name} (prod)")
            self.page.select_option("#id_server", label=f"{host} (prod)")
            self.page.click("input[name=_addanother]")
            link = self.page.locator(".messagelist a", has_text="Read its plan")
            plans.append(link.get_attribute("href") or "")
        begun = []
        for plan in plans:
            self.page.goto(plan)
            expect(self.page.locator("#content")).to_contain_text(
                f"is created as a replica of {self.pairs.new}", timeout=LONG
            )
            begun.append(self._yes("Register 1 instance"))
        for operation in begun:
            done = ended(operation)
            assert done.state == "succeeded", said(done)

    def do(self, action: str, host: str, method: str = "") -> Operation:
        """Tick the members on the host in the list, choose the action, say yes."""
        self.page.goto(f"{INSTANCES}?q={host}")
        self.page.check("#action-toggle")
        verb = action.capitalize()
        label = f"{verb} selected instances"
        self.page.select_option('select[name="action"]', label=label)
        self.page.click('button[name="index"]')
        count = len(self.pairs.herds)
        expect(self.page.locator("h1")).to_have_text(
            f"{verb} {count} instances of {count} herds in prod"
        )
        button = f"{verb} {count} instances"
        self.page.wait_for_selector(f"input[value='{button}']", timeout=LONG)
        if method:
            for choice in self.page.locator("select[name$='.method']").all():
                choice.select_option(method)
        picture(self.page, f"majors-plan-{action}")
        operation = self._yes(button)
        expect(self.page.locator("#operation-state")).to_contain_text(
            "succeeded", timeout=LONG
        )
        picture(self.page, f"majors-{action}")
        return ended(operation)

    def _yes(self, button: str) -> Operation:
        """Say yes to the plan that is open, and to its warnings; give its operation."""
        for box in self.page.get_by_label("I have read the warning").all():
            box.check()
        self.page.click(f"input[type=submit][value='{button}']")
        number = self.page.url.split("/operation/")[1].split("/")[0]
        return Operation.objects.get(pk=int(number))


class AtATerminal:
    """Types ``manage.py operate`` on the control host."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def register(self, host: str) -> None:
        """Register what an agent or a colleague has entered into the inventory."""
        server = Server.objects.get(hostname=host)
        for each in Herd.objects.all():
            Instance.objects.create(herd=each, server=server)
        operation = self.do("register", host)
        assert operation.state == "succeeded", said(operation)

    def do(self, action: str, host: str, method: str = "") -> Operation:
        """Select the members by their host, and say yes beforehand."""
        choice = ("--choose", f"method={method}") if method else ()
        typed = (action, "--server", host, *choice, "--yes", "--json")
        shown = finish(self.pairs.product.operate(*typed))
        assert shown.status == 0, (typed, shown.out, shown.err)
        return Operation.objects.get(pk=shown.json["operation"])


@pytest.fixture(scope="module")
def pairs(
    product_metadata: MetadataServer, django_db_blocker: DjangoDbBlocker
) -> Iterator[Pairs]:
    """The product in a lab of its own, with a worker."""
    with lab_of(LAYOUT, "browser") as lab, django_db_blocker.unblock():
        names = tuple(spec.name for spec in LAYOUT.herds)
        product = Product(lab, product_metadata, "majors_browser", names)
        with product.used_here(), product.worker():
            Server.objects.create(
                hostname="ele02",
                environment=Environment.objects.get(),
                host_key=lab.host_key("ele02"),
            )
            yield Pairs(product, "ele01", "ele02")


@pytest.fixture
def at_the_browser(browser: Browser, pairs: Pairs) -> Iterator[Hands]:
    """Somebody who may do everything has the admin open."""
    User.objects.create_superuser("admin", password="admin")
    with pairs.product.served() as address:
        context = browser.new_context(base_url=address)
        context.set_default_timeout(20_000)
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        log_in(page, address, "admin", "admin")
        yield AtTheBrowser(page, pairs)
        context.close()
    assert complaints == []


@pytest.fixture
def at_a_terminal(pairs: Pairs) -> Hands:
    """Somebody sits at a terminal of the control host."""
    return AtATerminal(pairs)


# The browser begins before anything else: where it begins in the middle of a test, that
# test goes on with a database connection that no fixture can close.
@pytest.mark.usefixtures("browser")
@pytest.mark.parametrize(
    ("where", "method"), [("at_the_browser", "follow"), ("at_a_terminal", "rsync")]
)
def test_every_major_is_registered_promoted_demoted_and_rebuilt(
    pairs: Pairs, where: str, method: str, request: pytest.FixtureRequest
) -> None:
    hands: Hands = request.getfixturevalue(where)
    pairs.leave_alone()

    hands.register(pairs.old)
    for name in pairs.herds:
        replica = pairs.product.instance(f"{name}@{pairs.old}")
        assert replica.master == pairs.product.instance(f"{name}@{pairs.new}")
        assert replica.version.split(".")[0] == pairs.product.spec(name).version

    promoted = hands.do("promote", pairs.old)
    pairs.were_promoted(promoted)

    pairs.write(pairs.old)
    pairs.write(pairs.new)
    pairs.follow(hands.do("demote", pairs.old), pairs.old)

    pairs.stopped(pairs.old)
    pairs.write(pairs.new)
    rebuilt = hands.do("rebuild", pairs.old, method)
    pairs.follow(rebuilt, pairs.old)
    words = {"follow": "Follow", "rsync": "rsync"}[method]
    assert all(words in each.outcome for each in rebuilt.targets.all()), said(rebuilt)
