"""The admin's menus; importing this package registers them with the site."""

from . import (
    disaster_recovery,
    discoveries,
    environments,
    herds,
    instances,
    operations,
    servers,
)

__all__ = [
    "disaster_recovery",
    "discoveries",
    "environments",
    "herds",
    "instances",
    "operations",
    "servers",
]
