"""The adapter to DNS: asks a zone's own servers; moves names with signed updates."""
