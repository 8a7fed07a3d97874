"""Judges a version on recorded events: decides them as a replay would, and again under faults."""
