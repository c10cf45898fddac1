"""Values: no Django, no I/O."""
