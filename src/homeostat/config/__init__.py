"""The typed tree of the app file, and its loader."""
