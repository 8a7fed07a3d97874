"""Conformance suites per port and per stage."""
