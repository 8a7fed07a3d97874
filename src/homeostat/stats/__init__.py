"""Pure mathematics with sources."""
