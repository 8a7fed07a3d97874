"""Engines for processes of a server: each with a memory of its own, which only a test would want."""

from __future__ import annotations

import os
from pathlib import Path

from homeostat import load


def engine(app: str, folder: str):
    """An engine that leaves a note of the process it is in."""
    made = load(app)
    (Path(folder) / str(os.getpid())).touch()
    return made


def broken(app: str, folder: str):
    raise ValueError(f"no engine for {app}: hs_0123456789ab_c0ffee")
