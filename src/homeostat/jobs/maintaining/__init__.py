"""Runs the maintenance loop beside what decides: by lease, in steps that a crash neither loses nor repeats."""
