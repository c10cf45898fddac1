"""Tests on real hosts made of namespaces."""
