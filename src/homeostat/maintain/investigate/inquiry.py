"""All that tests of an investigation may ask: the case, recent traffic and replays, in a bounded number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from homeostat.errors import HomeostatError
from homeostat.maintain.contracts import Case
from homeostat.ports.recent import Recent
from homeostat.ports.rehearsal import Again, Rehearsal
from homeostat.records.arrays import Float, Int
from homeostat.records.causes import CausalGraph
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.plans import Alteration
from homeostat.records.signals import Kind, Signal

HOUR_NS = 3_600 * 10**9
DAY_NS = 24 * HOUR_NS
STEPS_MAX = 120
_BEFORE_DAYS = 14
_SLACK_NS = 2 * DAY_NS
_OURS = "homeostat"  # The end of the actor's name of changes that answer an incident.
_REPLAYED_NS = DAY_NS


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one test, see `records.findings.Evidence`.

    decides : whether it shows the cause itself, and not only what may follow from it
    """

    what: str
    value: float
    unit: str
    weight: float
    decides: bool = False
    command: str = ""


@dataclass
class Inquiry:
    """See the module.

    recent : what was known when the investigation began
    steps : how many tests and replays were made
    """

    case: Case
    graph: CausalGraph
    recent: Recent
    rehearsal: Rehearsal | None
    steps_max: int = STEPS_MAX
    steps: int = 0
    not_checked: dict[str, None] = field(default_factory=dict)
    _replays: dict[object, Again | None] = field(default_factory=dict)

    # When it began, and what came before and after.

    @cached_property
    def since_ns(self) -> int:
        """When the trouble began, by the earliest of the signals that make incidents."""
        main = [one for one in self.case.signals if one.series.alone] or list(self.case.signals)
        return min((one.since_ns for one in main), default=self.case.incident.since_ns)

    @cached_property
    def low_ns(self) -> int:
        """The earliest that it can have begun, two days before `since_ns` at most."""
        lows = [one.since_low_ns for one in self.case.signals if one.since_ns <= self.since_ns + HOUR_NS]
        return max(min(lows, default=self.since_ns), self.since_ns - _SLACK_NS)

    @cached_property
    def before(self) -> slice:
        """The rows of the two weeks before."""
        return self.recent.between(self.low_ns - _BEFORE_DAYS * DAY_NS, self.low_ns)

    @cached_property
    def after(self) -> slice:
        """The rows since then."""
        return self.recent.between(self.since_ns, self.recent.now_ns + 1)

    @property
    def hours(self) -> tuple[float, float]:
        """How long both spans are, in hours."""
        came = self.recent.came_ns
        first = int(came[self.before.start]) if self.before.stop > self.before.start else self.low_ns
        return max(1.0, (self.low_ns - first) / HOUR_NS), max(1.0, (self.recent.now_ns - self.since_ns) / HOUR_NS)

    def column(self, node: str) -> Float | None:
        """(n,) the values at a field, feature, scorer or the fusion; None where a node has no column."""
        recent, (kind, _, name) = self.recent, node.partition(":")
        names = {"field": recent.fields, "feature": recent.features, "scorer": recent.scorers}
        tables = {"field": recent.numbers, "feature": recent.served, "scorer": recent.scores}
        if kind == "fusion":
            return recent.risk
        if kind not in names or name not in names[kind]:
            return None
        found: Float = tables[kind][:, names[kind].index(name)].astype(np.float64)
        return found

    @cached_property
    def source(self) -> Int:
        """(n,) the key by which sources are known: that of the last entity; all 0 for an app without any."""
        keys = self.recent.keys
        return keys[:, -1] if keys.shape[1] else np.zeros(len(keys), np.int64)

    # Signals and changes.

    def signals(self, *kinds: Kind, node: str = "") -> list[Signal]:
        """The signals of these kinds, at a node or at any."""
        return [one for one in self.case.signals if one.series.kind in kinds and node in ("", one.series.node)]

    def changes(self, *kinds: ChangeKind, beside: bool = False) -> list[Change]:
        """The changes of these kinds near the onset, newest first; with `beside`, those of other kinds.

        Changes that answered an incident are left out: each has a verdict of its own, and is undone where it harms.
        """
        low, high = self.low_ns - 26 * HOUR_NS, self.since_ns + 2 * HOUR_NS
        found = [
            one for one in self.case.changes
            if (one.kind in kinds) != beside and one.kind != ChangeKind.STATE and low <= one.at_ns <= high
            and not one.actor.endswith(_OURS)
        ]  # fmt: skip
        return found[::-1]

    # Replays.

    @property
    def spent(self) -> bool:
        """Whether no step is left."""
        return self.steps >= self.steps_max

    def replayed(
        self, why: str, from_ns: int, until_ns: int, alterations: Sequence[Alteration] = (), since_ns: int | None = None
    ) -> Again | None:
        """A span decided again; None, and noted as not checked, where that can't be done."""
        key = (from_ns, until_ns, since_ns, repr(tuple(alterations)))
        if key in self._replays:
            return self._replays[key]
        found: Again | None = None
        if self.rehearsal is None:
            self.not_checked[f"{why}: no rehearsal is at hand"] = None
        elif self.spent:
            self.not_checked[f"{why}: the steps were used up"] = None
        else:
            self.steps += 1
            try:
                found = self.rehearsal.again(from_ns, until_ns, alterations, since_ns=since_ns)
            except HomeostatError as error:
                self.not_checked[f"{why}: {error}"] = None
        self._replays[key] = found
        return found

    def take_replays(self, other: Inquiry) -> None:
        """Take over the spans that another inquiry of the same case decided again; they cost nothing here."""
        self._replays |= {key: again for key, again in other._replays.items() if again is not None}

    @property
    def span(self) -> tuple[int, int]:
        """The span since the onset that is decided again: a day of it at most, the newest."""
        now = self.recent.now_ns
        return max(self.since_ns, now - _REPLAYED_NS), now

    def as_it_was(self) -> Again | None:
        """The time since the onset decided again, with nothing altered."""
        return self.replayed("served and replayed decisions since the onset", *self.span)

    def as_before(self) -> Again | None:
        """The day before the onset decided again, by today's parts."""
        low = self.low_ns
        return self.replayed("decisions of the day before, made again today", low - _REPLAYED_NS, low)

    @property
    def command(self) -> str:
        """A command that shows the incident with its signals, their figures before and now."""
        return f"homeostat incidents show {self.case.incident.id}"


def finite(values: Float) -> Float:
    """Those that are there."""
    found: Float = values[np.isfinite(values)]
    return found
