"""Commands on hosts over SSH: pinned keys, kept connections, known outcomes."""
