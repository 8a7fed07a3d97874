"""A table of measurements -> a table with a score for each row."""
