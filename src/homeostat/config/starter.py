"""The app file that `homeostat init` writes."""

from __future__ import annotations

from importlib import resources


def starter() -> str:
    """A commented app file that loads and runs as it is."""
    return resources.files("homeostat.config").joinpath("starter.yaml").read_text(encoding="utf-8")
