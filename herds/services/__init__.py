"""The DBA's verbs, one module each: the only place that joins adapters and models."""
