"""The windows stage."""
