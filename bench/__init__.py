"""Measures ElepHaaS beside the tools a DBA would use instead, on the lab's hosts."""
