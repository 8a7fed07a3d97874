"""Parts that all streams share, and one place that opens them by their addresses."""
