"""The HTTP port: metrics, health, and questions of people about a running processor."""
