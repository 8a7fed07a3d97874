"""Targets that get decisions as predictions, a file for each kind."""
