"""The scorers stage."""
