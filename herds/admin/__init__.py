"""The admin's menus; importing this package registers them with the site."""

from . import (
    accounts,
    audit_log,
    disaster_recovery,
    discoveries,
    environments,
    herds,
    instances,
    operations,
    servers,
)

__all__ = [
    "accounts",
    "audit_log",
    "disaster_recovery",
    "discoveries",
    "environments",
    "herds",
    "instances",
    "operations",
    "servers",
]
