"""The tests: ``unit`` (pure), ``db`` (Django and PostgreSQL), ``lab`` (real hosts)."""
