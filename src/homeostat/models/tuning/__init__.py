"""Tuning: the space of settings, folds over time, and how good settings are on them."""
