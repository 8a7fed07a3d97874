"""Repairs: events as the stages see them, made of events as they came.

`plan` says what is repaired, `repairs` does it row by row, `copies` remembers contents so that repeats count once.
"""
