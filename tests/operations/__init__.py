"""The engine on simulated clusters and a real metadata server."""
