"""COMMANDS: every value arrives on the host as it is, wherever a template puts it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from herds.domain.cluster import ClusterRef
from herds.postgres.commands import CommandTemplates, TemplateProblem, validate

DEBIAN = {
    "base": "pg_ctlcluster {version[0]} {inst.herd.base_name}",
    "start": "{COMMANDS[base]} start",
    "stop": "{COMMANDS[base]} stop -m fast",
    "reload": "{COMMANDS[base]} reload",
    "promote": "{COMMANDS[base]} promote",
    "init": "pg_createcluster -d {pgdata} {version[0]} {inst.herd.base_name}",
}

UNPLEASANT = [
    "/srv/plain",
    "/srv/with a space",
    "/srv/two  spaces ",
    "/srv/o'hara",
    '/srv/a "quoted" word',
    "/srv/'\"'\"mixed'",
    "/srv/semi;touch pwned",
    "/srv/$(touch pwned)",
    "/srv/`touch pwned`",
    "/srv/$HOME/${PATH}",
    "/srv/a\\b\\\\c\\",
    "/srv/*?[a-z]~{1,2}!#&|<>()",
    "/srv/%s%n{pgdata}",
    "/srv/Größe/データ",
    "-n",
    "/srv/" + 300 * "x",
]


def cluster(**values: Any) -> ClusterRef:
    return ClusterRef(
        **{
            "hostname": "ele01",
            "data_directory": "/srv/trade",
            "port": 5433,
            "base_name": "main",
            "herd_name": "trade",
            "vhost": "trade.lab.test",
            "environment": "prod",
            "version": "15.4",
            **values,
        }
    )


def rendered(template: str, ref: ClusterRef | None = None, **others: str) -> str:
    """Fill a template, the others of the setting being Debian's."""
    templates = CommandTemplates({**DEBIAN, **others, "stop": template})
    return templates.render("stop", ref or cluster())


def words(command: str) -> list[str]:
    """Let a real sh take a command line apart."""
    done = subprocess.run(
        ["sh", "-c", f"tell() {{ printf '%s\\0' \"$@\"; }}; tell {command}"],
        capture_output=True,
        check=True,
        timeout=10,
        cwd="/proc",  # nothing can be made here by what should not have run
    )
    return done.stdout.decode().split("\0")[:-1]


def problem(template: str, **others: str) -> str:
    """Give the one thing that is wrong with a template."""
    [found] = validate({**DEBIAN, **others, "stop": template})
    return found


@pytest.mark.parametrize("value", UNPLEASANT)
@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{pgdata}", ["{}"]),
        ("'{pgdata}'", ["{}"]),
        ('"{pgdata}"', ["{}"]),
        ("-D{pgdata}/x -w", ["-D{}/x", "-w"]),
        ("'a b'{pgdata}'c d'", ["a b{}c d"]),
        ('"a \'b\' {pgdata} \\" c"', ["a 'b' {} \" c"]),
        ("it\\'s {pgdata} \\\"", ["it's", "{}", '"']),
        ("'{pgdata}'{pgdata}\"{pgdata}\"", ["{0}{0}{0}"]),
        ('"$(printf %s. {pgdata})" {pgdata}', ["{}.", "{}"]),
        ('"$(printf %s. "{pgdata}")\'" \'{pgdata}\'', ["{}.'", "{}"]),
        ('"$(printf %s. "$(printf %s, \'{pgdata}\')")"', ["{},."]),
        ('"$((1 + 2)){pgdata}(" {pgdata}', ["3{}(", "{}"]),
        ('"\\$({pgdata}"', ["$({}"]),
    ],
)
def test_a_value_arrives_unharmed_bare_and_in_quotes(
    template: str, expected: list[str], value: str
) -> None:
    ref = cluster(data_directory=value)

    arrived = words(rendered(template, ref))

    assert arrived == [
        word.replace("{0}", "{}").replace("{}", value) for word in expected
    ]


def test_every_field_of_the_contract_gives_its_value() -> None:
    ref = cluster(data_directory="/srv/own")

    assert words(
        rendered(
            "{version[0]} {version[1]} {inst.version} {inst.herd.base_name} "
            "{inst.herd.herd_name} {inst.herd.db_port} {inst.herd.vhost} "
            "{inst.herd.environment.env_name} {inst.server.hostname} "
            "{inst.local_pgdata} {inst.herd.pgdata} {pgdata}",
            ref,
        )
    ) == [
        *("15", "4", "15.4", "main", "trade", "5433", "trade.lab.test", "prod"),
        *("ele01", "/srv/own", "/srv/own", "/srv/own"),
    ]


def test_an_empty_value_stays_a_word_of_its_own() -> None:
    assert words(rendered("-v {inst.herd.vhost} end", cluster(vhost=""))) == [
        *("-v", "", "end"),
    ]


def test_debians_commands_are_those_of_pg_ctlcluster() -> None:
    templates = CommandTemplates(DEBIAN)

    assert templates.render("start", cluster()) == "pg_ctlcluster 15 main start"
    assert templates.render("stop", cluster()) == "pg_ctlcluster 15 main stop -m fast"
    assert templates.render("init", cluster(data_directory="/a b")) == (
        "pg_createcluster -d '/a b' 15 main"
    )


def test_a_template_may_name_one_that_names_another() -> None:
    filled = rendered(
        "{COMMANDS[base]} -m fast stop",
        base="sudo {COMMANDS[init]}",
        init="pg_ctl -D {pgdata}",
    )

    assert filled == "sudo pg_ctl -D /srv/trade -m fast stop"


def test_doubled_braces_are_braces_for_the_shell() -> None:
    ref = cluster(data_directory="/srv/a b")

    assert words(rendered("${{HOME:+set}} {{}} {pgdata}", ref)) == [
        *("set", "{}", "/srv/a b"),
    ]


def test_a_prerelease_is_driven_by_its_major_version() -> None:
    assert rendered("x {version[0]}", cluster(version="18beta1")) == "x 18"


@pytest.mark.parametrize("version", ["", "15"])
def test_a_part_of_the_version_that_is_not_known_is_said_so(version: str) -> None:
    with pytest.raises(TemplateProblem, match=r"version of trade on ele01 is"):
        rendered("x {version[1]}", cluster(version=version))


def test_an_unknown_version_hinders_no_template_that_does_not_ask_for_it() -> None:
    assert rendered("pg_ctl -D {pgdata}", cluster(version="")) == "pg_ctl -D /srv/trade"


def test_an_unknown_key_and_a_missing_one_are_named() -> None:
    found = validate({**DEBIAN, "restart": "x"})
    assert found == [
        "COMMANDS has no use for the key 'restart'; it knows base, init, promote, "
        "reload, start, stop."
    ]
    lacking: Mapping[str, str] = {
        key: value for key, value in DEBIAN.items() if key not in {"stop", "promote"}
    }
    assert validate(lacking) == [
        "COMMANDS lacks the key 'promote'.",
        "COMMANDS lacks the key 'stop'.",
    ]


def test_base_may_be_left_out_where_nothing_names_it() -> None:
    plain = dict.fromkeys(("start", "stop", "reload", "promote", "init"), "true")

    assert validate(plain) == []
    assert validate({**plain, "stop": "{COMMANDS[base]} stop"}) == [
        "COMMANDS['stop']: {COMMANDS[base]} names a template that does not exist."
    ]


@pytest.mark.parametrize(
    "field",
    [
        *("data", "inst", "inst.herd", "inst.herd.password", "version", "version[x]"),
        *("version[-1]", "version[10]", "COMMANDS", "0", "", "pgdata.__class__"),
        *("inst.server.hostname.x", "settings.SECRET_KEY", "pgdata[0]"),
    ],
)
def test_an_unknown_field_is_refused_by_name(field: str) -> None:
    said = problem(f"x {{{field}}}")

    assert said.startswith(f"COMMANDS['stop']: {{{field}}} is no field; known are ")
    assert "inst.herd.base_name" in said


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("x {pgdata!r}", "{pgdata} is written without '!' and ':'"),
        ("x {pgdata:>20}", "{pgdata} is written without '!' and ':'"),
        ("x 'y", "a quotation mark is not closed"),
        ('x "y', "a quotation mark is not closed"),
        ("x 'y\\'", None),
        ('x "y\\"', "a quotation mark is not closed"),
        ("x 'y\" {pgdata}", "a quotation mark is not closed"),
        ("x {pgdata", "expected '}' before end of string"),
        ("x }", "Single '}' encountered in format string"),
        ("x '{COMMANDS[base]}'", "{COMMANDS[base]} is a command and cannot stand"),
        ("x (y", "a parenthesis is not closed"),
        ('x "$(y"', "a quotation mark is not closed"),
        ("x `y {pgdata}`", "a backtick cannot be followed; write $(...)"),
        ('x "`y`"', "a backtick cannot be followed; write $(...)"),
        ("x <<END\n{pgdata}\nEND", "a here-document cannot be followed"),
        ("x \\{pgdata}", "a backslash cannot stand right before {pgdata}"),
        ('x "\\{pgdata}"', "a backslash cannot stand right before {pgdata}"),
        ("x $'{pgdata}'", "a '$' cannot stand right before a quotation mark"),
        ("x $'a'", "a '$' cannot stand right before a quotation mark"),
        ('x "$"', None),
        ("x 'a'$HOME'$'", None),
        ("x ${pgdata}", "a '$' cannot stand right before {pgdata}"),
        ('x "${inst.herd.herd_name}"', "a '$' cannot stand right before {inst.herd"),
        ("x '\\{pgdata}' '${pgdata}' '`<<' \\` \\\\ {pgdata}", None),
        ("x\0", "a NUL byte cannot stand in a command"),
        ("", "a template is a text that is not empty"),
        ("  ", "a template is a text that is not empty"),
    ],
)
def test_a_template_that_means_nothing_is_refused(
    template: str, said: str | None
) -> None:
    if said is None:
        assert validate({**DEBIAN, "stop": template}) == []
        return
    assert said in problem(template)
    with pytest.raises(TemplateProblem):
        CommandTemplates({**DEBIAN, "stop": template})


def test_a_template_that_is_no_text_is_refused() -> None:
    wrong: dict[str, Any] = {**DEBIAN, "stop": ["pg_ctl", "stop"]}

    assert validate(wrong) == [
        "COMMANDS['stop']: a template is a text that is not empty."
    ]


@pytest.mark.parametrize(
    "templates",
    [
        {"base": "{COMMANDS[base]} x"},
        {"base": "{COMMANDS[init]}", "init": "{COMMANDS[base]}"},
    ],
)
def test_a_template_that_names_itself_is_refused(templates: dict[str, str]) -> None:
    found = validate({**DEBIAN, **templates})

    assert "COMMANDS['base'] names itself." in found
