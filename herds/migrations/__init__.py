"""The tables' history; triggers, views and functions are loaded from ``herds/sql``."""
