"""Healing around a model: find wrong columns, mend or set aside their rows, retrain where the concept moved."""
