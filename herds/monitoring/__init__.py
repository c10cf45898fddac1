"""What other programs ask: metrics for Prometheus, health, readiness."""
