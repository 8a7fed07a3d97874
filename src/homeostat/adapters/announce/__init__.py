"""Channels on which incidents are announced, a file for each kind."""
