"""This process: its clocks, log lines, traces and environment."""
