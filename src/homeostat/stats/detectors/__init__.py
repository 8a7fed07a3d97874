"""Detectors of changes in one stream of numbers, a method a file; `detector` joins them."""
