"""A table of measurements -> six checks, cleaned data and a report."""
