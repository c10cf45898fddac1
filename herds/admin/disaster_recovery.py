"""The menu Disaster Recovery Pairs: a primary and its most up-to-date standby."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from herds.admin import badges, facts
from herds.admin.actions import OperationActionsMixin
from herds.admin.base import InventoryAdmin, ReadOnlyMixin
from herds.admin.filters import EnvironmentFilter
from herds.models import DisasterRecovery, Instance
from herds.selectors import inventory, readiness

from .herd_page import ready_mark


@admin.register(DisasterRecovery)
class DisasterRecoveryAdmin(
    ReadOnlyMixin[DisasterRecovery],
    OperationActionsMixin[DisasterRecovery],
    InventoryAdmin[DisasterRecovery],
):
    """Pairs to look at and to act on; they come about by themselves."""

    list_display = ["herd_name", "primary", "container", "lag", "virtual_host", "ready"]
    list_filter = [("herd__environment", EnvironmentFilter)]
    search_fields = ["herd__herd_name", "server__hostname", "vhost"]
    search_help_text = "Searches herds, DR containers and virtual hosts."
    fields = ["herd_name", "primary", "container", "lag", "virtual_host", "verdict"]
    readonly_fields = [
        *("herd_name", "primary", "container", "lag", "virtual_host", "verdict"),
    ]
    # Counting them means finding them all, which the page does already.
    show_full_result_count = False
    help_summary = "Every herd's primary with its most up-to-date online standby."
    first_step = (
        "A pair appears by itself once a herd has a primary and a standby that is "
        "online."
    )

    def instances_of(self, chosen: QuerySet[DisasterRecovery]) -> QuerySet[Instance]:
        """Act on the replica that each pair lists."""
        listed = chosen.order_by().values("instance")
        return Instance.objects.filter(pk__in=listed)

    def history_of(self, chosen: QuerySet[DisasterRecovery]) -> QuerySet[Instance]:
        """Tell of all members: what is listed today was the primary yesterday."""
        return Instance.objects.filter(herd__in=chosen.order_by().values("herd"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[DisasterRecovery]:
        """Read pairs with all that a row shows."""
        return readiness.pairs_to_judge()

    @admin.display(description="Herd", ordering="herd__herd_name")
    def herd_name(self, pair: DisasterRecovery) -> SafeString:
        """Show the herd with its environment beside it."""
        return facts.named_herd(pair.herd)

    @admin.display(description="Primary", ordering="master__server__hostname")
    def primary(self, pair: DisasterRecovery) -> SafeString:
        """Show the primary's host."""
        return badges.mono(pair.master.server.hostname)

    @admin.display(description="DR Container", ordering="server__hostname")
    def container(self, pair: DisasterRecovery) -> SafeString:
        """Show the standby's host."""
        return badges.mono(pair.server.hostname)

    @admin.display(description="MB Lag", ordering="lag_octets")
    def lag(self, pair: DisasterRecovery) -> SafeString:
        """Show how far the standby is behind, and how old that is."""
        return facts.lag_in_words(inventory.lag_of_pair(pair), pair.instance)

    @admin.display(description="Virtual Host", ordering="vhost")
    def virtual_host(self, pair: DisasterRecovery) -> SafeString | None:
        """Show the DNS name of the primary."""
        return badges.breakable(pair.vhost) if pair.vhost else None

    @admin.display(description="Switchover")
    def ready(self, pair: DisasterRecovery) -> SafeString:
        """Show whether the herd could be switched over, by what was recorded."""
        return ready_mark(readiness.judge_pair(pair))

    @admin.display(description="Switchover")
    def verdict(self, pair: DisasterRecovery) -> SafeString:
        """Show the same with the reason and its age, on the pair's own page."""
        judgement = readiness.judge_pair(pair)
        age = badges.age(judgement.seen_at)
        return format_html("{} {} {}", ready_mark(judgement), judgement.words, age)
