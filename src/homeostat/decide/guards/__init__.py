"""The guards stage."""
