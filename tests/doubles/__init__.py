"""Doubles, reviewed like product code; the lab proves the same on real parts."""
