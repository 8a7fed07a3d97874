"""Readings of this machine and of one process, and a small service whose load can be set."""
