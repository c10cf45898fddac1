"""The front page tells the truth of real hosts: cables, kills, hands, newcomers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from playwright.sync_api import Page, expect

from herds.models import Herd, Instance, Server
from tests.browser.pictures import picture
from tests.browser.test_lab_operations import Open, open_page
from tests.lab.product import Product, until

__all__ = ["open_page"]

pytestmark = [pytest.mark.lab, pytest.mark.browser]

MINUTE = 60_000  # milliseconds: what is promised
ATTENTION = "#front-attention"


@pytest.fixture(scope="module", autouse=True)
def _worker(debian: Product) -> Iterator[None]:
    """A worker that looks at every host each second."""
    with debian.worker(
        SSH={"CONNECT_TIMEOUT": 1.5},
        REFRESH={"INTERVAL": 1.0, "JITTER": 0.0, "NAMES_INTERVAL": 1.0},
    ):
        yield
    debian.make_whole()


@pytest.fixture
def front(open_page: Open) -> Page:
    """The front page, with nothing on it that needs anybody."""
    page = open_page()
    expect(page.locator(ATTENTION)).to_contain_text("nothing", timeout=MINUTE)
    return page


@contextlib.contextmanager
def told(page: Page, words: str, name: str) -> Iterator[None]:
    """See a sentence come by itself, and go once the block has mended what it says."""
    expect(page.locator(ATTENTION)).to_contain_text(words, timeout=MINUTE)
    picture(page, name)
    yield
    expect(page.locator(ATTENTION)).not_to_contain_text(words, timeout=MINUTE)


def test_a_pulled_cable_turns_what_hangs_on_it_unknown(
    debian: Product, front: Page
) -> None:
    debian.lab.cut("ele06")

    with told(front, "ele06", "attention-cable"):
        unknown = debian.instance("billing@ele06")
        assert unknown.unreachable_since is not None
        assert debian.instance("billing@ele05").unreachable_since is None
        debian.lab.heal()


def test_a_killed_primary_leaves_a_herd_without_one(
    debian: Product, front: Page
) -> None:
    root = debian.spec("orders").data_root
    kill = 'read -r pid <"$1/postmaster.pid" && kill -9 "$pid"'
    debian.lab.exec("ele07", ["sh", "-c", kill, "sh", root])

    with told(
        front,
        "no member takes writes; the primary ele07 is stopped",
        "attention-killed",
    ):
        until(lambda: _starts(debian, "orders@ele07"), 45, "it starts again")


def test_a_standby_promoted_by_hand_is_split_brain(
    debian: Product, front: Page
) -> None:
    root = debian.spec("billing").data_root

    def move(script: str) -> None:
        debian.stop("billing@ele06")
        debian.lab.exec("ele06", ["sh", "-ec", script, "sh", root], user="postgres")
        debian.start("billing@ele06")

    move('cp -a "$1" "$1.was"')
    until(lambda: debian.streams("billing"), 45, "it streams")
    debian.lab.sql("billing", "ele06", "SELECT pg_promote()")

    with told(front, "ele04 and ele06", "attention-split"):
        move('rm -rf "$1"; mv "$1.was" "$1"')


def test_a_host_that_nobody_registered_announces_itself_and_is_placed(
    debian: Product, front: Page
) -> None:
    agent = _agent_of(debian)
    Herd.objects.get(herd_name="orders").delete()
    Server.objects.filter(hostname__in=debian.hosts("orders")).delete()

    agent("ele07")

    expect(front.locator(ATTENTION)).to_contain_text("ele07", timeout=MINUTE)
    picture(front, "attention-newcomer")
    assert not Instance.objects.filter(server__hostname="ele07").exists()
    front.locator(ATTENTION).get_by_role("link", name="Place").first.click()
    picture(front, "place-newcomer")
    front.select_option("#id_environment", label="dev")
    front.get_by_role("button", name="Place orders on ele07").click()

    expect(front.locator(".messagelist .success")).to_contain_text("Placed orders")
    placed = Instance.objects.get(server__hostname="ele07")
    assert (placed.herd.herd_name, placed.is_primary) == ("orders", True)
    # What follows it has its place already: by its upstream's herd.
    agent("ele08")
    follower = Instance.objects.get(server__hostname="ele08")
    assert follower.master == placed


def _starts(product: Product, name: str) -> bool:
    """Start an instance; sessions of the killed one may still hold its memory."""
    with contextlib.suppress(Exception):
        product.start(name)
    return product.is_running(name)


def _agent_of(product: Product) -> Callable[[str], None]:
    """Let agents log in at the installation's metadata, and give how one is run."""
    with connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS fleet_agent")
        cursor.execute("CREATE ROLE fleet_agent LOGIN IN ROLE util_exec")
    at = connection.settings_dict
    ini = (
        f"[upstream]\ndb_host = {at['HOST']}\ndb_port = {at['PORT']}\n"
        f"db_user = fleet_agent\ndb_name = {at['NAME']}\n"
    )

    def run(host: str) -> None:
        product.lab.exec(host, ["tee", "/etc/pgutil_report.ini"], stdin=ini)
        product.lab.exec(host, ["pgutil_report", "--once"])

    return run
