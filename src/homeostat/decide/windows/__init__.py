"""Exact sliding windows: an entity's recent past as numbers, per event, at a cost that does not grow with the window.

Importing this package is cheap; the compiled kernels are loaded with `homeostat.decide.windows.engine`.
"""
