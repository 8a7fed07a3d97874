"""Loop 1: what happens for every event. Read `loop.py` first."""
