"""A worker: events and outcomes come in from streams, decisions go out."""
