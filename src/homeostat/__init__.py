"""Real-time decisions that keep themselves right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from homeostat.engine import Engine

__all__ = ["load"]
__version__ = "0.1.0"
