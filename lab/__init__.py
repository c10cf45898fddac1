"""A data centre on one machine: hosts, PostgreSQL herds and DNS out of namespaces."""

from lab.errors import LabError
from lab.lab import Lab
from lab.layout import HerdSpec, Layout, default_layout

__all__ = ["HerdSpec", "Lab", "LabError", "Layout", "default_layout"]
