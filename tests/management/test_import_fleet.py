"""An existing fleet is entered row by row; what cannot be is refused, with why."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from herds.models import AuditEntry, Environment, Herd, Instance, Server
from tests import factories
from tests.management.test_doctor import HOST_KEY

pytestmark = pytest.mark.django_db

FLEET = """\
environment,herd,base_name,port,pgdata,vhost,host,upstream
prod,trade,trade,5432,/var/lib/postgresql/15/trade,trade.example.com,ELE01,
prod,trade,trade,5432,/var/lib/postgresql/15/trade,trade.example.com,ele02,ele01
stage,quote,quote,5433,/srv/it's here/quote,,ele03,
"""

CLUSTERS = """\
==> ele01 <==
Ver Cluster Port Status          Owner    Data directory              Log file
15  trade   5432 online          postgres /var/lib/postgresql/15/trade /var/log/a.log
14  old one 5499 down            postgres /srv/x /var/log/b.log
==> ele02 <==
15  trade   5432 online,recovery postgres /srv/pg data/trade          /var/log/a.log
==> ele03 <==
15  trade   5432 down            postgres /var/lib/postgresql/15/trade /var/log/a.log
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], str]:
    def written(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return written


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    status = 0
    try:
        call_command("import_fleet", *arguments, stdout=out, stderr=out)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, out.getvalue()


Write = Callable[[str, str], str]


def members() -> dict[str, str]:
    return {
        str(each): str(each.master.server) if each.master else ""
        for each in Instance.objects.select_related("herd", "server", "master__server")
    }


def test_a_table_becomes_the_inventory(write: Write) -> None:
    status, shown = run(write("fleet.csv", FLEET))

    assert status == 0, shown
    assert members() == {
        "trade on ele01": "",
        "trade on ele02": "ele01",
        "quote on ele03": "",
    }
    assert Herd.objects.get(herd_name="quote").pgdata == "/srv/it's here/quote"
    assert "Made: 2 environments, 2 herds, 3 servers, 3 instances." in shown
    assert "operate refresh --all" in shown
    told = AuditEntry.objects.filter(event="imported").order_by("audit_id")
    assert [each.kind for each in told].count("server") == 3
    assert told.count() == 2 + 2 + 3 + 3


def test_a_second_import_changes_nothing(write: Write) -> None:
    file = write("fleet.csv", FLEET)
    run(file)
    before = list(Instance.objects.values()), list(Herd.objects.values())

    status, shown = run(file)

    assert status == 0
    assert "Made: nothing." in shown
    assert (list(Instance.objects.values()), list(Herd.objects.values())) == before


def test_a_rehearsal_shows_what_would_be_made(write: Write) -> None:
    status, shown = run("--dry-run", write("fleet.csv", FLEET))

    assert status == 0
    assert "✔ instance trade on ele02" in shown
    assert "Nothing was changed." in shown
    assert not AuditEntry.objects.exists()
    assert not Environment.objects.exists()
    assert not Instance.objects.exists()


WRONG = """\
environment,herd,port,pgdata,host,upstream
prod,trade,5432,/srv/trade,ele01,
prod,trade,5433,/srv/trade,ele02,
prod,quote,70000,/srv/quote,ele02,
prod,risk,5434,srv/risk,ele02,
prod,risk,5434,/srv/risk,ele_?,
prod,risk,https,/srv/risk,ele02,
prod,other,5432,/srv/other,ele01,
prod,trade
,,,,,
prod,trade,5432,/srv/trade,ele03,ele99
stage,trade,5432,/srv/trade,ele01,
"""


def test_every_wrong_row_is_refused_with_its_reason(write: Write) -> None:
    status, shown = run(write("fleet.csv", WRONG))

    assert status == 3
    assert members() == {"trade on ele01": "", "trade on ele03": ""}
    assert set(Server.objects.values_list("hostname", flat=True)) == {"ele01", "ele03"}
    assert set(Herd.objects.values_list("herd_name", flat=True)) == {"trade"}
    # Nor is told that what a refused row had made was made.
    assert "✔ herd other" not in shown
    assert "1 herd, 2 servers, 2 instances" in shown
    refusals = {
        3: "has DB Port 5432 in the inventory, not 5433",
        4: "from 1 to 65535",
        5: "begins with '/'",
        6: "Host Name: A host name is made of",
        7: "'https' is no port",
        8: "carries herd trade at the same port",
        9: "as many values",
        10: "neither a herd nor a host",
        11: "ele99 is no other member",
        12: "belongs to prod in the inventory",
    }
    lines = [line for line in shown.splitlines() if line.startswith("✖")]
    assert len(lines) == len(refusals)
    for number, reason in refusals.items():
        (line,) = [line for line in lines if f"line {number}:" in line]
        assert reason in line


def test_all_or_nothing_makes_nothing_where_a_row_is_refused(write: Write) -> None:
    status, shown = run("--all-or-nothing", write("fleet.csv", WRONG))

    assert status == 1
    assert "Nothing was made" in shown
    assert not Instance.objects.exists()
    assert run("--all-or-nothing", write("fleet.csv", FLEET))[0] == 0


def test_json_says_the_same(write: Write) -> None:
    rows = [
        {"herd": "trade", "environment": "prod", "pgdata": "/srv/t", "host": "ele01"},
        {"herd": "trade", "environment": "prod", "host": "ele02", "port": 5432},
        {"herd": "trade", "hots": "ele03"},
        {"herd": ["trade"]},
        "trade",
    ]

    status, shown = run("--json", write("fleet.json", json.dumps(rows)))

    report = json.loads(shown)
    assert status == 3
    assert set(members()) == {"trade on ele01", "trade on ele02"}
    assert [each["where"] for each in report["refused"]] == [
        f"fleet.json entry {number}" for number in (3, 4, 5)
    ]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("fleet.csv", "", "is empty"),
        ("fleet.csv", "herd,hots\n", "hots"),
        ("fleet.csv", "herd,herd\n", "twice"),
        ("fleet.json", "{", "is no JSON"),
        ("fleet.json", "{}", "is no list"),
        ("fleet.xml", "", "--format"),
    ],
)
def test_a_file_that_is_none_is_refused(
    write: Write, name: str, text: str, why: str
) -> None:
    with pytest.raises(CommandError, match=why):
        run(write(name, text))


def test_values_beyond_all_bounds_are_refused(write: Write) -> None:
    text = f"herd,host,pgdata\ntrade,ele01,/{'x' * 5000}\n{'y' * 200},ele01,/srv/y\n"

    status, shown = run(write("fleet.csv", text))

    assert status == 1
    assert "more than 4000 characters" in shown
    assert "at most 100 characters" in shown


def test_pg_lsclusters_of_many_hosts_becomes_herds(write: Write) -> None:
    status, shown = run(
        *("--format", "pg_lsclusters", "--environment", "prod"),
        write("clusters.txt", CLUSTERS),
    )

    assert status == 3
    assert members() == {
        "trade on ele01": "",
        "trade on ele02": "ele01",
        "trade on ele03": "",
    }
    assert "'14  old one 5499" in shown
    standby = Instance.objects.get(server__hostname="ele02")
    assert standby.local_pgdata == "/srv/pg data/trade"
    assert standby.version == "15"
    assert Herd.objects.get().pgdata == "/var/lib/postgresql/15/trade"


def test_a_directory_has_a_file_a_host(tmp_path: Path) -> None:
    line = "15 main {} online postgres /var/lib/postgresql/15/main /var/log/a.log\n"
    (tmp_path / "ele01.txt").write_text(line.format(5432))
    (tmp_path / "ele02").write_text(line.format(5433))

    status, _ = run("--format", "pg_lsclusters", str(tmp_path))

    assert status == 0
    assert set(members()) == {"main-5432 on ele01", "main-5433 on ele02"}


def test_herds_of_one_name_are_parted_by_a_person(write: Write) -> None:
    line = "15 main 5432 online postgres /var/lib/postgresql/15/main /var/log/a.log\n"
    file = write("clusters.txt", f"==> ele01 <==\n{line}==> ele02 <==\n{line}")

    status, shown = run("--format", "pg_lsclusters", file)

    assert status == 1
    assert "take writes on 2 hosts (ele01, ele02)" in shown
    status, table = run("--format", "pg_lsclusters", "--as-csv", file)
    named = table.replace(",main,main", ",crm,main", 1).replace(
        ",main,main", ",shop,main", 1
    )
    assert run(write("named.csv", named))[0] == 0
    assert set(members()) == {"crm on ele01", "shop on ele02"}


def test_keys_that_were_compared_are_accepted(write: Write) -> None:
    known = write(
        "known_hosts",
        f"# of the fleet\nele01,192.0.2.1 {HOST_KEY}\n|1|aa=|bb= {HOST_KEY}\n"
        f"[ele02]:2222 {HOST_KEY}\n",
    )
    factories.server("ele02", host_key="")

    run("--known-hosts", known, write("fleet.csv", FLEET))

    keys = dict(Server.objects.values_list("hostname", "host_key"))
    assert keys == {"ele01": HOST_KEY, "ele02": HOST_KEY, "ele03": ""}
    assert "import" in Server.objects.get(hostname="ele01").host_key_accepted_by


def test_a_key_other_than_the_accepted_one_is_refused(write: Write) -> None:
    factories.server("ele01", host_key=HOST_KEY.replace("wnBc", "wnBd"))

    _, shown = run(
        *("--known-hosts", write("known_hosts", f"ele01 {HOST_KEY}\n")),
        write("fleet.csv", FLEET),
    )

    assert "Another host key of ele01 was accepted" in shown
    assert "trade on ele01" not in members()


def test_a_password_is_not_taken_on_the_command_line() -> None:
    for address, why in (
        ("host=/nowhere password=secret123", "holds a password"),
        ("postgresql://dba:secret123@nowhere/admin", "holds a password"),
        ("secret123", "no address of a database"),
    ):
        with pytest.raises(CommandError, match=why) as refused:
            run("--from-database", address)
        assert "secret123" not in str(refused.value)


def test_either_files_or_a_database_is_named(write: Write) -> None:
    with pytest.raises(CommandError, match="Name files"):
        run()
    with pytest.raises(CommandError, match="Name files"):
        run("--from-database", "service=old", write("fleet.csv", FLEET))
