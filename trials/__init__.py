"""The tests' short forms, at length: each trial is a command."""
