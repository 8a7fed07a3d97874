"""Metrics of machines and services: measurements become steps of series."""
