"""Decisions go out as predictions: read from the journal, explained, and sent to each target in order."""
