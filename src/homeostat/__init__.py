"""Real-time decisions that keep themselves right.

>>> from homeostat import load
>>> engine = load("access")
>>> event = {"event_id": "1", "entity_id": "123", "event_type": "action", "value": 10,
...          "timestamp": "2026-01-30T12:00:00Z"}
>>> engine.decide(event)["action"]
'allow'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from homeostat.errors import Conflict, DataFolderInUse, HomeostatError, MissingExtra, Unavailable
from homeostat.records import software

if TYPE_CHECKING:
    from pathlib import Path

    from homeostat.engine.asynchronous import AsyncEngine as AsyncEngine
    from homeostat.engine.engine import Engine
    from homeostat.stats.comparison import compare as compare

# Names that are imported when they are asked for, so that importing the package stays quick.
_LATER = {
    "AsyncEngine": "homeostat.engine.asynchronous",
    "compare": "homeostat.stats.comparison",
    "AppFileError": "homeostat.config.faults",
    "AuditError": "homeostat.adapters.disk.audit.trail",
    "BadSetting": "homeostat.models.training.extras",
    "BundleError": "homeostat.models.bundle",
    "CanNotTry": "homeostat.jobs.guard_trial",
    "CommandError": "homeostat.cli.failures",
    "ComparisonError": "homeostat.stats.comparison",
    "Diverged": "homeostat.decide.redo",
    "EventFileError": "homeostat.adapters.disk.event_lines",
    "ExpressionError": "homeostat.expressions.scope",
    "Fenced": "homeostat.ports.streams",
    "JournalError": "homeostat.adapters.journals.entries",
    "LogsLost": "homeostat.ports.shared",
    "LostHistory": "homeostat.engine.folders",
    "MeasurementFileError": "homeostat.adapters.disk.measurement_files",
    "MissingFeature": "homeostat.decide.scorers.columns",
    "NoAnswer": "homeostat.decide.scorers.plugins",
    "NotAReplay": "homeostat.engine.folders",
    "NotBuried": "homeostat.engine.engine",
    "NotReady": "homeostat.decide.scorers.plugins",
    "NoScorers": "homeostat.app",
    "NotTrained": "homeostat.app",
    "NothingToLearn": "homeostat.models.training_set",
    "Overloaded": "homeostat.engine.turns",
    "PartError": "homeostat.records.parts",
    "PluginError": "homeostat.decide.scorers.plugins",
    "PluginFailure": "homeostat.decide.scorers.plugins",
    "Repeated": "homeostat.ports.shared",
    "ServersIncomplete": "homeostat.engine.shared.assembly",
    "Stopped": "homeostat.decide.loop",
    "TlsError": "homeostat.serve.tls",
    "Unnamed": "homeostat.records.renaming",
    "UnusableEvent": "homeostat.engine.engine",
}

__all__ = ["Conflict", "DataFolderInUse", "HomeostatError", "MissingExtra", "Unavailable", "load", *_LATER]
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


def __getattr__(name: str) -> Any:
    """The async engine, the judge of experiments, or an error by its name; docs/errors.md lists those.

    Raises AttributeError for any other name.
    """
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
