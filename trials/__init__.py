"""What tests do in a short form, at length: each trial is a command."""
