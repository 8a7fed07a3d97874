"""The statements and texts that all memories of past incidents have in common."""
