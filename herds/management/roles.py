"""The roles that an installation begins with; what a site makes of them is its own."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import connections, transaction

_LOOK = (
    "view_environment",
    "view_herd",
    "view_server",
    "view_instance",
    "view_disasterrecovery",
    "view_operation",
    "view_discovery",
)
_OPERATE = (
    "refresh_instance",
    "start_instance",
    "stop_instance",
    "restart_instance",
    "reload_instance",
)
_ADMINISTER = (
    "promote_instance",
    "demote_instance",
    "rebuild_instance",
    "switchover_instance",
    "failover_instance",
    "refresh_dns_instance",
    "cancel_operation",
    "accept_host_key_server",
    "place_discovery",
    "delete_discovery",
    "view_auditentry",
    "override_freeze",
    *(
        f"{verb}_{model}"
        for verb in ("add", "change", "delete")
        for model in ("environment", "herd", "server", "instance")
    ),
)

ROLES = {
    "viewer": _LOOK,
    "operator": (*_LOOK, *_OPERATE),
    "dba": (*_LOOK, *_OPERATE, *_ADMINISTER),
}
"""Permissions of this application by the name of a group."""


def make_roles(*, app_config: Any, using: str, **_: Any) -> None:
    """Make the groups that are missing; one that is there stays as it is."""
    if "auth_permission" not in connections[using].introspection.table_names():
        return  # one application alone was migrated; the roles come with the rest
    # Django makes the permissions at the same moment, in an order that nobody promises.
    create_permissions(app_config, verbosity=0, using=using)
    ours = Permission.objects.using(using).filter(
        content_type__app_label=app_config.label
    )
    with transaction.atomic(using=using):
        for name, codenames in ROLES.items():
            group, is_new = Group.objects.using(using).get_or_create(name=name)
            if is_new:
                group.permissions.set(ours.filter(codename__in=codenames))
