"""The fusion stage."""
