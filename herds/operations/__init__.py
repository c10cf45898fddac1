"""The engine: plan, confirm, queue, run, cancel, resume."""
