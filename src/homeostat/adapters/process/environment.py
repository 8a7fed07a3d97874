"""What this process's environment variables say."""

from __future__ import annotations

import os
from pathlib import Path

from homeostat.config.load import app_file
from homeostat.config.world import World, read_world


def world_of(config: str | Path | None, app: str | Path | None = None) -> World:
    """The world of an app file, of another file, and of the environment: each wins over those before it.

    app : a file, or a shipped app's name. Raises AppFileError
    """
    return read_world(config, os.environ, None if app is None else app_file(app))
