"""Real-time decisions that keep themselves right.

>>> from homeostat import load
>>> engine = load("access")
>>> event = {"event_id": "1", "entity_id": "123", "event_type": "action", "value": 10,
...          "timestamp": "2026-01-30T12:00:00Z"}
>>> engine.decide(event)["action"]
'allow'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from homeostat.records import software

if TYPE_CHECKING:
    from pathlib import Path

    from homeostat.engine.asynchronous import AsyncEngine
    from homeostat.engine.engine import Engine

__all__ = ["AsyncEngine", "load"]
__version__ = software.VERSION


def load(
    app: str | Path,
    *,
    bundle: str | Path | None = None,
    data: str | Path | None = None,
    history: Literal["continue", "journal", "new"] = "continue",
) -> Engine:
    """An engine that decides in this process; see `homeostat.engine.engine.Engine`.

    app : a shipped app (payments, access) or the path of an app file
    bundle : a trained bundle; the shipped one when absent
    data : the folder of its journal and snapshot, so that a restart continues; everything is in memory without one
    history : what counts where the folder's files disagree: `continue` refuses, `journal` lets the journal alone count,
        `new` begins again; what does not count is put aside
    """
    from pathlib import Path

    from homeostat.engine.assembly import open_engine

    return open_engine(
        app, bundle=None if bundle is None else Path(bundle), data=None if data is None else Path(data), history=history
    )


def __getattr__(name: str) -> object:
    """Names that are loaded when they are asked for, so that importing the package stays quick."""
    if name == "AsyncEngine":
        from homeostat.engine.asynchronous import AsyncEngine

        return AsyncEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
