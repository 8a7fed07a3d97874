"""Optuna: studies in SQLite or PostgreSQL, and what chooses the next trial."""
