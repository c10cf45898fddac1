"""Seeded, repeatable faults against switchover and failover."""
