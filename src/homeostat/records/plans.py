"""Plans: the remedies of an incident, each rehearsed; the gate's ruling on them; what was done, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from homeostat.records.changes import ChangeKind
from homeostat.records.verdicts import Verdict

MAKER = "homeostat"
"""The maker of a plan that no person has edited."""


class Remedy(StrEnum):
    """A kind of action. The names are those of a drill's accepted and forbidden answers."""

    MONITOR = "monitor"  # Do nothing, and go on watching.
    NOTE = "note"  # The same, with a note for people.
    ESCALATE = "escalate"  # Hand it to a person, with everything prepared.
    IGNORE = "ignore"  # Text that asks for something is not obeyed.
    FLAG = "flag"
    CONVERT = "convert"  # Multiply or divide a field.
    MAP = "map"  # Another name, type or category of a field.
    IMPUTE = "impute"  # Fill a missing field in.
    MASK = "mask"  # Treat a field as missing.
    DROP_COPIES = "drop_copies"  # Repeats of the same content count once.
    SHIFT_TIME = "shift_time"  # Correct a clock.
    WIDEN_LATENESS = "widen_lateness"
    REBUILD = "rebuild"  # Make windows again from the journal.
    QUARANTINE_SOURCE = "quarantine_source"  # The word of a source or its accounts does not teach.
    QUARANTINE_LABELS = "quarantine_labels"
    HOLD_TRAINING = "hold_training"
    THRESHOLD = "threshold"
    SCOPED_THRESHOLD = "scoped_threshold"
    RANDOM_THRESHOLD = "random_threshold"  # So that nobody can sit just below it.
    RECALIBRATE = "recalibrate"
    RULE = "rule"
    SCOPED_RULE = "scoped_rule"
    RATE_LIMIT = "rate_limit"
    EXCLUDE = "exclude"  # Entities whose events do not teach.
    SHED = "shed"  # Leave out the dearest part of each decision.
    DEGRADE = "degrade"  # Decide without a dependency, by a declared fallback.
    FALLBACK = "fallback"
    ROLLBACK = "rollback"  # The version before.
    REVERT_SETTINGS = "revert_settings"
    LIBRARY_MODEL = "library_model"  # A version that served a regime like this one.
    RETRAIN = "retrain"


class Tier(StrEnum):
    """The answer of the gate to a plan."""

    EXECUTE = "execute"
    ESCALATE = "escalate"
    WATCH = "watch"


@dataclass(frozen=True, slots=True)
class Alteration:
    """A change of the settings that a step wants; body None for what the app file says."""

    kind: ChangeKind
    scope: str
    body: Mapping[str, Any] | None
    expires_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The effect of a step on recent traffic, held against the present course.

    effect : the cost an hour that it saves, in the app's currency, with its 95 % interval. By `load`, the events an
        hour that a limit keeps off, or the seconds an hour that decisions take less
    n : decisions that rest on known outcomes or estimates
    how : `replay`, `estimate`, `load`, or `none` where it can't be rehearsed
    """

    effect: float
    low: float
    high: float
    n: int
    how: str


@dataclass(frozen=True, slots=True)
class Blast:
    """How much a step touches: the share of decisions, the share of entities, and money an hour."""

    decisions: float
    entities: float
    money_per_hour: float


@dataclass(frozen=True, slots=True)
class Step:
    """One remedy of a plan.

    remedy, scope : what, and where: `app`, or `segment:...`, `field:...`, `source`, `labels`
    alterations : of the settings; empty for what no setting does (wait, escalate, retrain)
    job : kind and request of a job, None for none
    reversible : whether there is an undo
    cost : of doing it, in the app's currency
    takes_ns : until it has its effect
    expects : what the verifier looks for: `metric`, `direction`, `least`, `by_ns` after the step
    """

    remedy: Remedy
    scope: str
    alterations: tuple[Alteration, ...]
    job: tuple[str, Mapping[str, Any]] | None
    reversible: bool
    cost: float
    rehearsed: Rehearsed
    blast: Blast
    takes_ns: int
    expects: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""

    @property
    def only_trains(self) -> bool:
        """Whether it trains a version, and alters nothing."""
        return self.job is not None and self.job[0] == "train" and not self.alterations


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in a safe order, bound to the state that they were made on.

    confidence : of the findings that it rests on, calibrated
    settings : the number of the last change when it was made; another one voids an approval
    rejected : remedies that were rehearsed and not chosen, with the reason
    by : who made it: homeostat, or the person who edited it
    """

    incident: str
    at_ns: int
    confidence: float
    settings: int
    steps: tuple[Step, ...]
    rejected: tuple[tuple[str, str], ...] = ()
    by: str = MAKER

    @property
    def acting(self) -> tuple[Step, ...]:
        """The steps that alter something or start a job."""
        return tuple(one for one in self.steps if one.alterations or one.job)

    @property
    def hash(self) -> str:
        """Names its content; two plans of the same steps on the same state are the same plan.

        >>> plan = Plan("i1", 5, .9, 3, ())
        >>> plan.hash == Plan("i1", 5, .9, 3, ()).hash, plan.hash == Plan("i1", 5, .9, 4, ()).hash
        (True, False)
        """
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), default=str)
        return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Spoke:
    """One rule of the gate that spoke: which, what it asks for, the figure it saw and the limit, and a sentence."""

    rule: str
    tier: Tier
    value: float
    limit: float
    why: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """The answer of the gate to a plan: the most careful of all that its rules ask for.

    plan : the hash of the plan
    rules : all that spoke, in the gate's order, those that agreed included
    """

    plan: str
    at_ns: int
    tier: Tier
    rules: tuple[Spoke, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A step that was done, exactly once.

    key : idempotency key of step and plan
    changes : numbers of the changes that it stored; job : the id of its job, empty for none
    by : who let it: `homeostat` at tier execute, else a person
    undone_ns, undone_why : when and why it was undone; 0 and empty where it was not
    remedy, scope, cost : of the step
    """

    plan: str
    step: int
    key: str
    at_ns: int
    by: str
    changes: tuple[int, ...] = ()
    job: str = ""
    undone_ns: int = 0
    undone_why: str = ""
    remedy: Remedy = Remedy.MONITOR
    scope: str = ""
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether a step did what was expected.

    predicted, seen, low, high : the expected figure and the one that was seen, with its 95 % interval
    extended : whether the deadline was moved once
    key : of the step's receipt
    """

    step: int
    at_ns: int
    verdict: Verdict
    predicted: float
    seen: float
    low: float
    high: float
    n: int
    why: str
    extended: bool = False
    key: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """An earlier action, for the gate's limits: what, where, when, what it cost, and how it ended.

    verdict : None while it is being verified; judged_ns : when it came, 0 for not yet
    plan : the hash of its plan; pending : whether it is allowed and not done yet
    """

    remedy: Remedy
    scope: str
    at_ns: int
    cost: float
    by: str
    verdict: Verdict | None
    judged_ns: int = 0
    plan: str = ""
    pending: bool = False
