"""The real world: files, SQLite, HTTP clients."""
