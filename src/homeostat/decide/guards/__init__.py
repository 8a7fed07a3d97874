"""Guards: the deterministic last word."""
