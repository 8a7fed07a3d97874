"""The learning stage."""
