"""The journal since the last tick -> figures, and the signals that they raise."""
