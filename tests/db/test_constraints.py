"""What the metadata refuse, by form and by the database itself, and what is legal."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction

from herds.models import Environment, Herd, Instance, Server
from tests import factories as make

pytestmark = pytest.mark.django_db


def reasons(row: models.Model) -> str:
    """Return why a form would refuse this row; empty when it would not."""
    try:
        row.full_clean()
    except ValidationError as refusal:
        return " ".join(refusal.messages)
    return ""


def run_sql(sql: str, *values: Any) -> list[Any]:
    """Run one statement as an agent would, and check its deferred constraints."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
        found = cursor.fetchall() if cursor.description else []
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    return found


def a_herd(**values: Any) -> Herd:
    return Herd(
        **{
            "herd_name": "trade",
            "base_name": "trade",
            "pgdata": "/var/lib/postgresql/15/trade",
            **values,
        }
    )


# Instances ---------------------------------------------------------------------


def test_a_server_carries_a_herd_once() -> None:
    herd, server = make.herd(), make.server()
    make.instance()

    assert "This server carries this herd already." in reasons(
        Instance(herd=herd, server=server)
    )
    with pytest.raises(IntegrityError, match="ele_instance_herd_server_key"):
        run_sql(
            "INSERT INTO ele_instance (herd_id, server_id) VALUES (%s, %s)",
            herd.pk,
            server.pk,
        )


def test_an_instance_is_not_its_own_upstream() -> None:
    instance = make.instance("trade", "ele01")
    instance.master = instance

    assert "An instance cannot be its own upstream." in reasons(instance)
    with pytest.raises(IntegrityError, match="ele_instance_master_check"):
        run_sql("UPDATE ele_instance SET master_id = instance_id")


def test_an_upstream_is_a_member_of_the_same_herd() -> None:
    stranger = make.instance("quote", "ele01")
    instance = make.instance("trade", "ele02")
    instance.master = stranger

    assert reasons(instance) == "An upstream is a member of the same herd."
    with pytest.raises(IntegrityError, match="ele_instance_master_herd_fkey"):
        run_sql(
            "UPDATE ele_instance SET master_id = %s WHERE instance_id = %s",
            stranger.pk,
            instance.pk,
        )


def test_an_instance_with_followers_stays_in_its_herd() -> None:
    quote = make.herd("quote")
    primary = make.instance("trade", "ele01")
    make.instance("trade", "ele02", master=primary)
    primary.herd = quote

    assert "Other members of its herd follow this instance" in reasons(primary)
    with pytest.raises(IntegrityError, match="ele_instance_master_herd_fkey"):
        run_sql(
            "UPDATE ele_instance SET herd_id = %s WHERE instance_id = %s",
            quote.pk,
            primary.pk,
        )


def test_deleting_an_upstream_leaves_its_followers() -> None:
    herd = make.herd()
    primary = make.instance("trade", "ele01")
    standby = make.instance("trade", "ele02", master=primary)

    run_sql("DELETE FROM ele_instance WHERE instance_id = %s", primary.pk)

    standby.refresh_from_db()
    assert standby.master_id is None
    assert standby.herd_id == herd.pk


def test_deleting_a_herd_or_server_takes_its_instances_along() -> None:
    trade = make.herd("trade")
    make.instance("trade", "ele01")
    make.instance("quote", "ele02")

    run_sql("DELETE FROM ele_herd WHERE herd_id = %s", trade.pk)
    run_sql("DELETE FROM ele_server WHERE hostname = 'ele02'")

    assert not Instance.objects.exists()


def test_deleting_an_environment_leaves_its_herds_and_servers() -> None:
    herd, server = make.herd(), make.server()

    run_sql("DELETE FROM ele_environment")

    herd.refresh_from_db()
    server.refresh_from_db()
    assert herd.environment is None
    assert server.environment is None


def test_two_herds_do_not_share_a_port_of_one_server() -> None:
    make.herd("trade", db_port=5432)
    quote = make.herd("quote", db_port=5432)
    make.instance("trade", "ele01")
    server = Server.objects.get()

    assert (
        reasons(Instance(herd=quote, server=server))
        == "ele01 carries herd trade at the same port already."
    )


def test_two_herds_do_not_share_a_data_directory_of_one_server() -> None:
    make.herd("trade", pgdata="/data/main")
    make.instance("trade", "ele01")
    quote = make.herd("quote", pgdata="/data/main/")
    here = Instance(herd=quote, server=Server.objects.get())

    assert reasons(here) == "ele01 carries herd trade in the same data directory."
    here.local_pgdata = "/data/quote"
    assert reasons(here) == ""


def test_a_herd_does_not_move_to_the_port_of_a_neighbour() -> None:
    trade, quote = make.herd("trade"), make.herd("quote")
    make.instance("trade", "ele01")
    make.instance("quote", "ele01")
    assert reasons(quote) == ""

    quote.db_port = trade.db_port

    assert reasons(quote) == "ele01 carries herd trade at the same port already."


@pytest.mark.parametrize("path", ["data", "", "~/data"])
def test_a_herds_data_root_is_absolute(path: str) -> None:
    assert reasons(a_herd(pgdata=path))
    with pytest.raises(IntegrityError, match="ele_herd_pgdata_check"):
        make.herd(pgdata=path)


def test_a_local_data_root_is_absolute_or_none() -> None:
    instance = make.instance("trade", "ele01")
    assert reasons(instance) == ""
    instance.local_pgdata = "data"

    assert "it begins with '/'" in reasons(instance)
    with pytest.raises(IntegrityError, match="ele_instance_pgdata_check"):
        run_sql("UPDATE ele_instance SET local_pgdata = 'data'")


# Ports, names, paths -----------------------------------------------------------


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_is_one_of_tcp(port: int) -> None:
    assert "A port is a number from 1 to 65535." in reasons(a_herd(db_port=port))
    with pytest.raises(IntegrityError, match="ele_herd_port_check"):
        make.herd(db_port=port)


@pytest.mark.parametrize("port", [1, 5432, 65535])
def test_every_port_of_tcp_is_legal(port: int) -> None:
    assert reasons(a_herd(db_port=port)) == ""


def test_host_names_are_unique_whatever_their_case() -> None:
    make.server("ele01")

    assert "A server of this name exists already." in reasons(Server(hostname="ELE01"))
    with pytest.raises(IntegrityError, match="ele_server_hostname"):
        run_sql("INSERT INTO ele_server (hostname) VALUES ('Ele01')")


def test_host_names_are_kept_in_lower_case_without_a_final_dot() -> None:
    server = Server(hostname="ELE01.Lab.Test.")

    server.full_clean()
    server.save()

    assert Server.objects.get().hostname == "ele01.lab.test"


@pytest.mark.parametrize(
    "name",
    [
        *("ele 01", "ele;01", "$(reboot)", "ele'01", "ele01\n", "éle01", "ele..01"),
        *("-ele01", "ele01-", "ele01/", "\u212aele", "a" * 64, "a." * 126 + "aa"),
    ],
)
def test_what_is_no_host_name_is_refused_with_the_reason(name: str) -> None:
    assert reasons(Server(hostname=name))


@pytest.mark.parametrize("name", ["ele 01", "ele;01", "ele01\n", "éle", ""])
def test_the_database_refuses_what_is_no_host_name(name: str) -> None:
    with pytest.raises(IntegrityError, match="ele_server_hostname"):
        run_sql("INSERT INTO ele_server (hostname) VALUES (%s)", name)


@pytest.mark.parametrize("name", ["ele01", "10.0.0.7", "ele_01.lab.test", "a" * 63])
def test_host_names_and_addresses_are_legal(name: str) -> None:
    assert reasons(Server(hostname=name)) == ""


@pytest.mark.parametrize(
    "name", ["ma in", "main;", "-main", ".main", "ma'in", "main\n", "größe", ""]
)
def test_what_is_no_cluster_name_is_refused_with_the_reason(name: str) -> None:
    assert reasons(a_herd(base_name=name))
    with pytest.raises(IntegrityError, match="ele_herd_base_name_check"):
        make.herd(base_name=name)


@pytest.mark.parametrize("name", ["tra\nde", "tra\tde", "tra\x1bde"])
def test_control_characters_are_refused_in_names(name: str) -> None:
    assert "control characters" in reasons(Environment(env_name=name))
    assert "control characters" in reasons(a_herd(herd_name=name))
    with pytest.raises(IntegrityError, match="ele_environment_name_check"):
        run_sql("INSERT INTO ele_environment (env_name) VALUES (%s)", name)
    with pytest.raises(IntegrityError, match="ele_herd_name_check"):
        make.herd(name, base_name="x", vhost="", pgdata="/x")


@pytest.mark.parametrize("name", ["tra\0de", "   ", "", "tra\u2028de", "tra\u202ede"])
def test_names_that_nobody_could_read_are_refused(name: str) -> None:
    assert reasons(Environment(env_name=name))
    assert reasons(a_herd(herd_name=name))


@pytest.mark.parametrize(
    "name", ["Größe & Co.", "売買", "it's; $(trade)", 'the "big" one', "🐘"]
)
def test_people_may_call_a_herd_or_environment_as_they_like(name: str) -> None:
    Environment(env_name=name).full_clean()
    herd = a_herd(herd_name=name)
    herd.full_clean()
    herd.save()

    herd.refresh_from_db()
    assert herd.herd_name == name


def test_names_of_300_characters_are_refused_with_their_limit() -> None:
    long = "x" * 300

    assert "at most 40 characters" in reasons(Environment(env_name=long))
    assert "at most 100 characters" in reasons(a_herd(herd_name=long))
    assert "at most 63 characters" in reasons(a_herd(base_name=long))
    assert "at most 253 characters" in reasons(a_herd(vhost=long))
    assert "at most 253 characters" in reasons(Server(hostname=long))
    assert "at most 255 bytes" in reasons(a_herd(pgdata=f"/{long}"))


@pytest.mark.parametrize(
    "path", ["/data/it's; big/(main) & x", "/srv/größe", "/" + "deep/" * 60 + "main"]
)
def test_nearly_any_printable_absolute_path_is_legal(path: str) -> None:
    assert reasons(a_herd(pgdata=path)) == ""

    assert Herd.objects.get(pk=make.herd(pgdata=path).pk).pgdata == path


@pytest.mark.parametrize("path", ["/", "//", "/data/../etc", "/data/./x"])
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    assert reasons(a_herd(pgdata=path))


SEEN_BY_A_SHELL = ["/data\n/x", "/data/$(reboot)", "/data/`x`", '/data/"x', "/data/\\x"]


@pytest.mark.parametrize("path", SEEN_BY_A_SHELL)
def test_a_data_root_in_which_a_shell_would_see_more_is_refused(path: str) -> None:
    assert "no line breaks" in reasons(a_herd(pgdata=path))
    with pytest.raises(IntegrityError, match="ele_herd_pgdata_check"):
        make.herd(pgdata=path)


@pytest.mark.parametrize("path", SEEN_BY_A_SHELL)
def test_a_local_data_root_in_which_a_shell_would_see_more_is_refused(
    path: str,
) -> None:
    instance = make.instance("trade", "ele01")
    instance.local_pgdata = path

    assert "backticks" in reasons(instance)
    with pytest.raises(IntegrityError, match="ele_instance_pgdata_check"):
        run_sql("UPDATE ele_instance SET local_pgdata = %s", path)


def test_a_virtual_host_may_be_missing_but_not_be_nonsense() -> None:
    assert reasons(a_herd(vhost="")) == ""
    assert reasons(a_herd(vhost="trade;lab"))
    with pytest.raises(IntegrityError, match="ele_herd_vhost_check"):
        make.herd(vhost="trade;lab")


def test_an_environment_has_one_herd_of_a_name() -> None:
    make.herd("trade")
    prod, dev = make.environment("prod"), make.environment("dev")

    assert "has a herd of this name already" in reasons(
        a_herd(herd_name="Trade", environment=prod)
    )
    assert reasons(a_herd(herd_name="Trade", environment=dev)) == ""


# Rows that no form has seen ----------------------------------------------------


def test_the_columns_of_the_original_are_enough_for_a_row() -> None:
    run_sql("INSERT INTO ele_environment (env_name) VALUES ('dev')")
    run_sql("INSERT INTO ele_server (hostname) VALUES ('ele09')")
    ((herd,),) = run_sql(
        "INSERT INTO ele_herd (base_name, herd_name, pgdata)"
        " VALUES ('main', 'main', '/data') RETURNING herd_id"
    )
    run_sql(
        "INSERT INTO ele_instance (herd_id, server_id)"
        " SELECT %s, server_id FROM ele_server",
        herd,
    )

    instance = Instance.objects.select_related("herd", "server").get()
    assert instance.herd.db_port == 5432
    assert not instance.is_online
    assert (instance.version, instance.local_pgdata) == ("", "")


@pytest.mark.parametrize(
    "table", ["ele_environment", "ele_herd", "ele_server", "ele_instance"]
)
def test_rows_are_stamped_by_the_database_itself(table: str) -> None:
    make.instance("trade", "ele01")
    stamps = f"SELECT created_dt, modified_dt FROM {table}"
    ((created, modified),) = run_sql(stamps)
    assert created == modified

    run_sql(f"UPDATE {table} SET created_dt = '1999-01-01', modified_dt = '1999-01-01'")

    ((created_then, modified_then),) = run_sql(stamps)
    assert created_then == created
    assert modified_then > modified


def test_a_saved_row_knows_its_stamps() -> None:
    server = make.server()

    assert server.created_dt == Server.objects.get().created_dt
