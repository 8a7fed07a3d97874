"""Requests to HTTP services."""
