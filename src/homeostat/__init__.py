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

    from homeostat.engine.answer_types import Decision as Decision
    from homeostat.engine.answer_types import Problem as Problem
    from homeostat.engine.answer_types import Receipt as Receipt
    from homeostat.engine.asynchronous import AsyncEngine as AsyncEngine
    from homeostat.engine.engine import Engine
    from homeostat.jobs.table_monitor.api import monitor as monitor
    from homeostat.models.healing.healing import SelfHealing as SelfHealing
    from homeostat.stats.comparison import compare as compare
    from homeostat.stats.detectors.alarms import Alarm as Alarm
    from homeostat.stats.detectors.detector import Detector as Detector
    from homeostat.stats.detectors.detector import detect as detect
    from homeostat.stats.series.detector import SeriesDetector as SeriesDetector
    from homeostat.stats.series.detector import SeriesScores as SeriesScores

# Names that are imported when they are asked for, so that importing the package stays quick.
_LATER = {
    "AsyncEngine": "homeostat.engine.asynchronous",
    "Alarm": "homeostat.stats.detectors.alarms",
    "BadStore": "homeostat.config.stores",
    "NothingToCollect": "homeostat.jobs.collecting",
    "UnknownFormat": "homeostat.adapters.disk.wide_files",
    "Unreadable": "homeostat.adapters.http.asking",
    "compare": "homeostat.stats.comparison",
    "detect": "homeostat.stats.detectors.detector",
    "Detector": "homeostat.stats.detectors.detector",
    "SeriesDetector": "homeostat.stats.series.detector",
    "SeriesScores": "homeostat.stats.series.detector",
    "monitor": "homeostat.jobs.table_monitor.api",
    "SelfHealing": "homeostat.models.healing.healing",
    "Decision": "homeostat.engine.answer_types",
    "Problem": "homeostat.engine.answer_types",
    "Receipt": "homeostat.engine.answer_types",
    "AppFileError": "homeostat.config.faults",
    "AuditError": "homeostat.adapters.disk.audit.trail",
    "BadSetting": "homeostat.models.training.extras",
    "BadJob": "homeostat.config.job_kinds",
    "BundleError": "homeostat.models.bundle",
    "NotAllowed": "homeostat.maintain.act.executor",
    "CanNotRehearse": "homeostat.ports.rehearsal",
    "CanNotTry": "homeostat.jobs.guard_trial",
    "ChangeError": "homeostat.config.change_faults",
    "Changed": "homeostat.ports.settings",
    "CommandError": "homeostat.cli.failures",
    "ComparisonError": "homeostat.stats.comparison",
    "DecisionListsError": "homeostat.ports.decision_lists",
    "Deposed": "homeostat.ports.learning",
    "DetectionError": "homeostat.stats.detectors.alarms",
    "Diverged": "homeostat.decide.redo",
    "EventFileError": "homeostat.adapters.disk.event_lines",
    "ExpressionError": "homeostat.expressions.scope",
    "Fenced": "homeostat.ports.streams",
    "FrameError": "homeostat.engine.frames",
    "HealingError": "homeostat.models.healing.table",
    "Inapplicable": "homeostat.config.variants",
    "IncidentMoved": "homeostat.ports.incidents",
    "IncidentsError": "homeostat.ports.incidents",
    "NoResponse": "homeostat.ports.plans",
    "ResponseMoved": "homeostat.ports.plans",
    "AnswerVoid": "homeostat.ports.plans",
    "PlansError": "homeostat.ports.plans",
    "BadNote": "homeostat.ports.memory",
    "MemoryFault": "homeostat.ports.memory",
    "NoSuchMemory": "homeostat.ports.memory",
    "InUse": "homeostat.ports.registry",
    "JobFailed": "homeostat.jobs.following",
    "JobMoved": "homeostat.ports.jobs",
    "JournalError": "homeostat.adapters.journals.entries",
    "KeyReused": "homeostat.ports.jobs",
    "LogsLost": "homeostat.ports.shared",
    "LostHistory": "homeostat.engine.folders",
    "MeasurementFileError": "homeostat.adapters.disk.measurement_files",
    "MissingFeature": "homeostat.decide.scorers.columns",
    "NoAnswer": "homeostat.decide.scorers.plugins",
    "NotAnEvaluation": "homeostat.jobs.evaluation.evaluate",
    "NotAReplay": "homeostat.engine.folders",
    "NotBuried": "homeostat.engine.isolating",
    "NotReady": "homeostat.decide.scorers.plugins",
    "NumberFileError": "homeostat.adapters.disk.number_files",
    "NoCanary": "homeostat.jobs.canary_keeping",
    "NoCosts": "homeostat.jobs.judging",
    "NoFairness": "homeostat.jobs.monthly.fair",
    "NoJobs": "homeostat.adapters.jobs.opening",
    "NoScorers": "homeostat.app",
    "NoneFits": "homeostat.models.tuning.trials",
    "NotTrained": "homeostat.app",
    "NotNow": "homeostat.records.job",
    "NothingAsked": "homeostat.jobs.retraining",
    "NothingBefore": "homeostat.models.deployments",
    "NothingToEvaluate": "homeostat.jobs.evaluation.window",
    "NothingToLearn": "homeostat.models.training_set",
    "Overloaded": "homeostat.engine.turns",
    "PageError": "homeostat.adapters.machine.page",
    "PartError": "homeostat.records.parts",
    "PluginError": "homeostat.decide.scorers.plugins",
    "PluginFailure": "homeostat.decide.scorers.plugins",
    "QueueFull": "homeostat.ports.jobs",
    "RankingError": "homeostat.maintain.investigate.frames",
    "RegistryError": "homeostat.ports.registry",
    "Repeated": "homeostat.ports.shared",
    "SettingsError": "homeostat.ports.settings",
    "SilenceMoved": "homeostat.ports.incidents",
    "SeriesError": "homeostat.stats.series.detector",
    "ServersIncomplete": "homeostat.engine.shared.connecting",
    "ShadowTaken": "homeostat.jobs.shadowing",
    "Stopped": "homeostat.decide.loop",
    "TableError": "homeostat.adapters.disk.table_files",
    "TooShort": "homeostat.jobs.drill.recorded",
    "TlsError": "homeostat.serve.tls",
    "UnknownIncident": "homeostat.ports.incidents",
    "UnknownJob": "homeostat.ports.jobs",
    "UnknownState": "homeostat.ports.learning",
    "UnknownVersion": "homeostat.ports.registry",
    "AlreadyAnswered": "homeostat.ports.statements",
    "NoRoom": "homeostat.ports.statements",
    "StatementsError": "homeostat.ports.statements",
    "UnknownStatement": "homeostat.ports.statements",
    "Unfair": "homeostat.models.deployments",
    "Unnamed": "homeostat.records.renaming",
    "UnusableEvent": "homeostat.engine.isolating",
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
    """A name that is imported when it is asked for: a class, a function, or an error as in docs/errors.md.

    Raises AttributeError for any other name.
    """
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
