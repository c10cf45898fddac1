"""Runs the agent as ``python3 -m pgutil_report``."""

import sys

from pgutil_report.cli import main

if __name__ == "__main__":
    sys.exit(main())
