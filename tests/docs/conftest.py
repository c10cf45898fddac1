"""Lends the terminal of the talk's installation to the one of the documentation."""

from tests.db.test_talk import empty_server, terminal

__all__ = ["empty_server", "terminal"]
