"""Anomalies in series of measurements: each row is scored from the rows before it, in one pass and bounded memory."""
