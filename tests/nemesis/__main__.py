"""Runs ``python -m tests.nemesis``."""

from __future__ import annotations

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from tests.nemesis.cli import main  # noqa: E402  (models need a Django that is set up)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
