"""Incidents: signals that belong together, from the first of them to the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any

FINDINGS = "findings"
"""The note of an incident with all that its last investigation came to, see `records.findings_text`."""


class Phase(StrEnum):
    """How far an incident is. Loop 2 moves it one phase a tick, by compare and set of its `revision`."""

    OPEN = "open"
    INVESTIGATED = "investigated"
    PLANNED = "planned"
    RULED = "ruled"
    ACTING = "acting"
    VERIFYING = "verifying"
    CLOSED = "closed"


class Severity(StrEnum):
    """By what it costs an hour, against the app's ordinary cost."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A place and kind of cause that the signals point to. A ranking by signals alone is no finding.

    kind : a `records.causes.Cause`
    """

    node: str
    kind: str
    probability: float


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that went wrong, as far as it is known.

    id : follows from the app and its first signal
    revision : counts its changes; a writer names the revision that it read
    opened_ns, updated_ns, closed_ns : event times; closed_ns is 0 while it is open
    since_ns : when the earliest of its signals began
    signals : the ids of its signals, in order of time
    inhibited : the ids of signals that are the consequences of others
    suspects : by falling probability
    decisions, entities, cost, cost_per_hour : how many were affected since `since_ns`, and what it cost in the app's
        currency; NaN where that is not known
    phase, reason : where it is, and why it was closed
    silenced_until_ns : nobody hears of it until then; 0 for not silenced
    reopened : how often it came again after it was closed
    """

    id: str
    app: str
    revision: int
    opened_ns: int
    updated_ns: int
    since_ns: int
    severity: Severity
    signals: Sequence[str]
    inhibited: Sequence[str] = ()
    suspects: Sequence[Suspect] = ()
    decisions: int = 0
    entities: int = 0
    cost: float = float("nan")
    cost_per_hour: float = float("nan")
    phase: Phase = Phase.OPEN
    reason: str = ""
    closed_ns: int = 0
    silenced_until_ns: int = 0
    reopened: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)

    def closed(self, reason: str, now_ns: int) -> Incident:
        """The next revision: somebody closes it, and says why."""
        at = max(now_ns, self.updated_ns)
        return replace(self, revision=self.revision + 1, phase=Phase.CLOSED, reason=reason, closed_ns=at, updated_ns=at)

    def investigated(self, findings: Mapping[str, Any], now_ns: int) -> Incident:
        """The next revision: its causes were looked for. An incident that is further already stays in its phase.

        findings : as `records.findings_text.findings_dict` makes them
        """
        phase = Phase.INVESTIGATED if self.phase == Phase.OPEN else self.phase
        at = max(now_ns, self.updated_ns)
        notes = {**self.notes, FINDINGS: findings}
        return replace(self, revision=self.revision + 1, phase=phase, updated_ns=at, notes=notes)

    def proposed(self, proposals: Sequence[Any], now_ns: int) -> Incident:
        """The next revision: an outside assistant has proposed something.

        proposals : all of them, as `records.advice.note_of` makes them
        """
        at = max(now_ns, self.updated_ns)
        return replace(self, revision=self.revision + 1, updated_ns=at, notes={**self.notes, "proposals": proposals})

    def silenced(self, until_ns: int, reason: str, now_ns: int) -> Incident:
        """The next revision: nobody hears of it until a time, and `notes` say why."""
        notes = {**self.notes, "silenced": reason}
        at = max(now_ns, self.updated_ns)
        return replace(self, revision=self.revision + 1, silenced_until_ns=until_ns, updated_ns=at, notes=notes)


@dataclass(frozen=True, slots=True)
class Silence:
    """A person's wish not to hear of something for a while. It hides announcements, not incidents.

    id : follows from its content
    node, kind : patterns of a signal's node and kind, with `*` for anything
    from_ns, until_ns : event times; it always ends
    actor, reason : whose wish it is, and why
    revision : counts the changes; a store sets it
    key : the idempotency key of the request that made this revision, empty without one
    """

    id: str
    node: str
    kind: str
    from_ns: int
    until_ns: int
    actor: str
    reason: str
    revision: int = 1
    key: str = ""

    @classmethod
    def of(cls, node: str, kind: str, from_ns: int, until_ns: int, actor: str, reason: str) -> Silence:
        """A silence, named by what it is about: the same wish again is the same silence.

        >>> one, again = (Silence.of("labels", "*", 0, until, "ann", "late again") for until in (5, 9))
        >>> one.id == again.id
        True
        """
        id = sha256(f"silence|{node}|{kind}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return cls(id, node, kind, from_ns, until_ns, actor, reason)

    def covers(self, node: str, kind: str, at_ns: int) -> bool:
        """Whether a signal is meant at a time.

        >>> Silence("1", "feature:*", "*", 0, 9, "ann", "a test").covers("feature:night", "missing", 5)
        True
        """
        return self.from_ns <= at_ns < self.until_ns and fnmatchcase(node, self.node) and fnmatchcase(kind, self.kind)
