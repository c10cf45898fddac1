"""Tests of values, parsers and adapters, without Django."""
