"""Signals -> incidents."""
