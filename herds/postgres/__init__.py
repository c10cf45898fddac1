"""What is said to PostgreSQL on a host; no Django, no models."""
