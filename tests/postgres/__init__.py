"""What is said to PostgreSQL, on a real cluster of this machine."""
