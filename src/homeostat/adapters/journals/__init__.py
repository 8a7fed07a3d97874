"""Parts that all journals share, on disk and on servers."""
