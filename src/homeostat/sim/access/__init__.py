"""The simulated world of requests to a service."""
