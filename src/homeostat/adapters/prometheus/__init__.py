"""Prometheus: what it sends by remote write, and what it answers to range queries."""
