"""What this process's environment variables say."""

from __future__ import annotations

import os
from pathlib import Path

from homeostat.config.world import World, read_world


def world_of(config: str | Path | None) -> World:
    """The world of a file's `world` section and of the environment, which wins. Raises AppFileError."""
    return read_world(config, os.environ)
