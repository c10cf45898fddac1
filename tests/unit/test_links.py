"""Links out are filled with quoted values; templates that lead nowhere are named."""

from __future__ import annotations

import pytest

from herds.domain.links import Link, links, problems

GRAFANA = {
    "Grafana": {
        "herd": "https://grafana.example/d/herd?var-herd={herd}&var-env={environment}",
        "instance": "https://grafana.example/d/{host}/{port}",
    },
    "Logs": {"instance": "http://logs.example/{host}"},
}


def test_a_link_has_the_values_of_what_it_is_about() -> None:
    values = {"host": "ele01", "port": 5432}

    assert links(GRAFANA, "instance", values) == [
        Link(label="Grafana", url="https://grafana.example/d/ele01/5432"),
        Link(label="Logs", url="http://logs.example/ele01"),
    ]


def test_a_value_stays_one_value() -> None:
    values = {"herd": "a&b=c/../#d é{host}", "environment": ""}

    (link,) = links(GRAFANA, "herd", values)

    assert link.url == (
        "https://grafana.example/d/herd"
        "?var-herd=a%26b%3Dc%2F..%2F%23d%20%C3%A9%7Bhost%7D&var-env="
    )


def test_usable_templates_are_fine() -> None:
    assert list(problems(GRAFANA)) == []
    assert list(problems({})) == []
    assert list(problems({"A": {"herd": "https://a.example/{{literal}}"}})) == []


@pytest.mark.parametrize(
    ("templates", "named"),
    [
        ("https://grafana.example", "is a dictionary"),
        ({"": {"herd": "https://a.example"}}, "label"),
        ({"Grafana": "https://a.example"}, "is a dictionary"),
        ({"Grafana": {"server": "https://a.example"}}, "'server'"),
        ({"Grafana": {"herd": 5}}, "is an address"),
        ({"Grafana": {"herd": "javascript:alert({herd})"}}, "https://"),
        ({"Grafana": {"herd": "//a.example/{herd}"}}, "https://"),
        ({"Grafana": {"herd": "https:///{herd}"}}, "https://"),
        ({"Grafana": {"herd": "https://{herd}.example/"}}, "host name"),
        ({"Grafana": {"herd": "https://a.example/{host}"}}, "{host}"),
        ({"Grafana": {"instance": "https://a.example/{inst.pk}"}}, "{inst.pk}"),
        ({"Grafana": {"herd": "https://a.example/{}"}}, "{}"),
        ({"Grafana": {"herd": "https://a.example/{herd"}}, "cannot be read"),
        ({"Grafana": {"herd": "https://a.example/{herd:>9}"}}, "written"),
        ({"Grafana": {"herd": "https://a.example/{herd!r}"}}, "written"),
    ],
)
def test_templates_that_mean_nothing_are_named(templates: object, named: str) -> None:
    (problem,) = problems(templates)

    assert named in problem
