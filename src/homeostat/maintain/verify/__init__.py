"""Whether a step did what was expected of it."""
