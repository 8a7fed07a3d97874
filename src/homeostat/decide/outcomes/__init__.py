"""The outcomes stage."""
