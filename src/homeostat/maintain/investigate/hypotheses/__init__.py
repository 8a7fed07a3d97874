"""The hypothesis library: one module a kind of cause."""
