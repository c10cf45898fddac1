"""Filters of the lists; each says what it selects, and selects that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import mark_safe

from herds.models import Herd, Instance
from herds.selectors import trouble
from herds.selectors.inventory import InstanceState, in_state

LONGEST_LIST = 12
"""Up to this many choices are listed as links; more are put into a drop-down."""


class EnvironmentFilter(admin.RelatedFieldListFilter):
    """By environment, and those without one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "environment"
        self.empty_value_display = mark_safe("no environment")


class RoleFilter(admin.SimpleListFilter):
    """By role: a primary follows nobody, a replica has an upstream."""

    title = "role"
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer both roles."""
        return [("primary", "Primary"), ("replica", "Replica")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Instance]
    ) -> QuerySet[Instance]:
        """Keep the instances of the chosen role."""
        match self.value():
            case "primary":
                return queryset.filter(master__isnull=True)
            case "replica":
                return queryset.filter(master__isnull=False)
            case _:
                return queryset


class OnlineFilter(admin.SimpleListFilter):
    """By what is known: online, stopped, or unknown."""

    title = "online"
    parameter_name = "online"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the three states."""
        return [(state.value, state.value.capitalize()) for state in InstanceState]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Instance]
    ) -> QuerySet[Instance]:
        """Keep the instances in the chosen state."""
        chosen = self.value()
        if chosen not in set(InstanceState):
            return queryset
        return queryset.filter(in_state(InstanceState(chosen)))


class AttentionFilter(admin.SimpleListFilter):
    """By what needs a person; the front page leads here for what it has no room for."""

    title = "attention"
    parameter_name = "attention"
    kinds: Mapping[trouble.Kind, str] = {}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the kinds of trouble that these rows can have."""
        return [(kind.value, words) for kind, words in self.kinds.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows with the chosen trouble."""
        chosen = self.value()
        if chosen not in set(self.kinds):
            return queryset
        troubled = self.troubled(trouble.Kind(chosen)).order_by()
        return queryset.filter(pk__in=troubled.values("pk"))

    def troubled(self, kind: trouble.Kind) -> QuerySet[Any]:
        """Give the rows with a trouble."""
        raise NotImplementedError


class HerdAttentionFilter(AttentionFilter):
    """By what needs a person, of herds as a whole."""

    kinds = trouble.HERD_KINDS

    def troubled(self, kind: trouble.Kind) -> QuerySet[Herd]:
        """Give the herds with a trouble."""
        return trouble.herds_with(kind)


class InstanceAttentionFilter(AttentionFilter):
    """By what needs a person, of single members."""

    kinds = trouble.INSTANCE_KINDS

    def troubled(self, kind: trouble.Kind) -> QuerySet[Instance]:
        """Give the instances with a trouble."""
        return trouble.instances_with(kind)


class ChooserFilter(admin.SimpleListFilter):
    """Links while the choices are few; a drop-down with a button when they are many.

    The drop-down is a plain form, so it needs no script. It shows no counts: there
    may be more choices than a query can have columns.
    """

    template = "admin/herds/chooser_filter.html"

    others: list[tuple[str, str]] = []
    """The rest of the query string, which the form has to send along."""

    @property
    def is_long(self) -> bool:
        """Whether there are too many choices for a list of links."""
        return len(self.lookup_choices) > LONGEST_LIST

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Give what the template shows: a link and a value for every choice."""
        name = str(self.parameter_name)
        rest = changelist.get_query_string(remove=[name, "p"])
        self.others = parse_qsl(rest.removeprefix("?"), keep_blank_values=True)
        yield {
            "selected": not self.value(),
            "query_string": rest,
            "display": "All",
            "value": "",
        }
        for value, label in self.lookup_choices:
            yield {
                "selected": self.value() == str(value),
                "query_string": changelist.get_query_string({name: value}, ["p"]),
                "display": label,
                "value": value,
            }

    def chosen(self) -> Any:
        """Return the chosen value, None for all.

        Raises:
            IncorrectLookupParameters: the value is not among the choices; the list
                then starts again without it.
        """
        wanted = self.value()
        if not wanted:
            return None
        for value, _ in self.lookup_choices:
            if str(value) == wanted:
                return value
        raise IncorrectLookupParameters


class HerdFilter(ChooserFilter):
    """Instances of one herd; only herds of the chosen environment are offered."""

    title = "herd"
    parameter_name = "herd"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the herds, each with its environment."""
        herds = Herd.objects.order_by("herd_name", "environment__env_name")
        environment = request.GET.get("herd__environment__environment_id__exact", "")
        if environment.isdecimal():
            herds = herds.filter(environment=int(environment))
        rows = herds.values_list("pk", "herd_name", "environment__env_name")
        return [
            (str(herd_id), f"{name} ({environment_name or 'no environment'})")
            for herd_id, name, environment_name in rows
        ]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Instance]
    ) -> QuerySet[Instance]:
        """Keep the members of the chosen herd."""
        herd_id = self.chosen()
        return queryset if herd_id is None else queryset.filter(herd=herd_id)


class ValueFilter(ChooserFilter):
    """Rows with one of the values that stand in a column.

    Attributes:
        field_name: the column, which is the filter's title too unless it has one.
        nothing: how an empty value is called.
    """

    field_name: str
    nothing = "unknown"
    _NOTHING = "-"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the values that occur."""
        model: type[Model] = model_admin.model
        values = (
            model._default_manager.order_by(self.field_name)
            .values_list(self.field_name, flat=True)
            .distinct()
        )
        return [
            (str(value), str(value)) if value != "" else (self._NOTHING, self.nothing)
            for value in values
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the rows with the chosen value."""
        value = self.chosen()
        if value is None:
            return queryset
        wanted = "" if value == self._NOTHING else value
        return queryset.filter(**{self.field_name: wanted})


class PortFilter(ValueFilter):
    """Herds at one port."""

    title = "DB port"
    parameter_name = "db_port"
    field_name = "db_port"


class VersionFilter(ValueFilter):
    """Instances of one version."""

    title = "version"
    parameter_name = "version"
    field_name = "version"
