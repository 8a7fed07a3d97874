"""An app ready to decide, in one process: files, memory and SQLite. Nothing else has to run."""
