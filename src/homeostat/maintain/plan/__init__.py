"""Findings -> a plan: remedies, each rehearsed."""
