"""The embedded world: one process, files, memory and SQLite. Nothing else has to run."""
