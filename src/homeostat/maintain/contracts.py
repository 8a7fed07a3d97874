"""The stages of the maintenance loop as Protocols, in order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int, Small, State
from homeostat.records.changes import Change
from homeostat.records.edits import Edit
from homeostat.records.events import DeadLetter, EventBatch
from homeostat.records.features import Features
from homeostat.records.findings import Findings
from homeostat.records.incidents import Incident, Silence
from homeostat.records.logged import LoggedChange
from homeostat.records.plans import Done, Plan, Receipt, Ruling, Verified
from homeostat.records.signals import Measured, Series, Signal


@dataclass(frozen=True, slots=True)
class Known:
    """Outcomes that became known in a tick, (m,) each, beside what was decided about their events.

    An unknown decision is one that is not remembered: its event was never decided, or is too long ago.

    time_ns, known_ns : when the event happened (`known_ns` where nobody knows), when its outcome became known
    label, amount : as in OutcomeBatch
    risk, action, censored : of the decision; an unknown decision has NaN, -1 and 0
    mature : 1 where both kinds of outcome of that event could be known by now, so that it counts for quality. Each
        outcome is handed on with 1 once: at once, or again at the tick in which its event comes to that age. So does a
        negative that silence stands for, where the app says that it does
    fresh : 1 where somebody has reported it in this tick; 0 where it is handed on again, or silence stands for it
    numbers : (m, fields) of the event
    features : (m, remembered features) as served, to seven digits: the first ones of the app, or all of them where a
        plug-in watches
    keys : (m, entities)
    source : (m,) the account that reported it, as a number; all 0 where none is named
    """

    time_ns: Int
    known_ns: Int
    label: Float
    amount: Float
    risk: Float
    action: Small
    censored: Bytes
    mature: Bytes
    numbers: Float
    features: Float
    keys: Int
    source: Int
    fresh: Bytes


@dataclass(frozen=True, slots=True)
class Tick:
    """Everything that the journal gained in one span of event time, as columns in the app's present names.

    number : counts the ticks of the app from 1 on; the span is (start_ns, end_ns]
    events : (n,) decided events in order of arrival; `events.numbers` are the fields as they came. Those at or before
        `start_ns` came when the tick of their time had been closed
    events_n : counts those that were not kept, too: of very many, a share is kept by a hash of their ids
    features : (n,) as served
    scores : (n, scorers) NaN where a scorer was missing; risk : (n,)
    proposed, action, rule, hits, explored, fallback, propensity : of policy and guards, see records.decisions
    settings : (n,) the number of the change that was in force
    version : (n,) index into `versions`, the maker of each decision
    took_us : (n,) processing time of a decision's batch divided by its rows
    arrived_ns : (n,) when it was recorded, by the wall clock; all 0 where the journal does not say
    known : the outcomes of the tick
    changes : that were applied in it
    letters : unreadable events of the tick; `letters_n` counts those that were not kept, too
    repeats : events whose id had been decided before
    """

    number: int
    start_ns: int
    end_ns: int
    events: EventBatch
    features: Features
    scores: Float
    risk: Float
    proposed: Small
    action: Small
    rule: Small
    hits: Int
    explored: Bytes
    fallback: Bytes
    propensity: Float
    settings: Int
    version: Int
    versions: tuple[str, ...]
    took_us: Float
    arrived_ns: Int
    known: Known
    changes: tuple[Change, ...] = ()
    letters: tuple[DeadLetter, ...] = ()
    letters_n: int = 0
    repeats: int = 0
    events_n: int = 0

    def __len__(self) -> int:
        return len(self.events)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive ticks (k of them), their columns one after the other. `maintain.blocks` makes it.

    While the loop follows a stream, a block is one tick. While it catches up, a block is up to a week of them. The
    figures do not depend on where the cuts lie.

    whole : all rows as if of one tick: `number` and `start_ns` of the first, `end_ns` of the last, counts added up.
        `versions` are those of all ticks, and `texts` too
    ticks : the same one by one, as views; each is made when it is asked for
    offsets : (k + 1,) the rows of tick j are `offsets[j]` to `offsets[j + 1]`
    known_offsets : (k + 1,) the same for the rows of `whole.known`
    number, start_ns, end_ns, events_n, letters_n, repeats : (k,) as in `Tick`
    changes, letters : of each tick
    shared : results that several monitors need, by name, see `maintain.blocks.shared`
    """

    whole: Tick
    ticks: Sequence[Tick]
    offsets: Int
    known_offsets: Int
    number: Int
    start_ns: Int
    end_ns: Int
    events_n: Int
    letters_n: Int
    repeats: Int
    changes: Sequence[tuple[Change, ...]]
    letters: Sequence[tuple[DeadLetter, ...]]
    shared: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.number)

    @property
    def rows(self) -> Int:
        """(k,) how many rows each tick has."""
        return np.diff(self.offsets)


class Stateful(Protocol):
    """A stage that remembers. `restore(state())` continues bit for bit."""

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class Monitor(Stateful, Protocol):
    """Takes figures of one kind of trouble at every tick. Its memory does not grow with time.

    series : what it measures, fixed from its making on
    """

    name: str
    series: tuple[Series, ...]

    def measure(self, tick: Tick) -> Measured:
        """The values of `series`, in their order; a value may look back over a window of earlier ticks."""
        ...

    def notes(self, series: int) -> dict[str, object]:
        """All else that is known of a series that has just raised a signal: the new category, the account."""
        ...


@runtime_checkable
class BlockMonitor(Protocol):
    """A `Monitor` that measures many ticks at once, and gives the same values bit for bit however they are cut."""

    name: str
    series: tuple[Series, ...]

    def measure(self, tick: Tick) -> Measured:
        """See `Monitor`: a block of one tick."""
        ...

    def measure_block(self, block: Block) -> Measured:
        """The values of `series` at each tick: columns (k, series)."""
        ...

    def notes(self, series: int, at: int = -1) -> dict[str, object]:
        """See `Monitor`. at : the tick of the block that was measured last"""
        ...

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class AlarmScale(Stateful, Protocol):
    """Values -> signals, on one scale for all series, within the owner's budget of false alarms."""

    def judge(self, tick: Tick, series: Sequence[Series], measured: Measured) -> list[Signal]:
        """Signals that were raised at this tick, that go on (once a day), or that have ended."""
        ...

    def judge_block(self, block: Block, series: Sequence[Series], measured: Measured) -> list[list[Signal]]:
        """The same for each tick of a block; measured : columns (k, series)."""
        ...


class Effects(Stateful, Protocol):
    """Signals -> the same with what they do to decisions and what that costs, as far as it is known."""

    def weigh_block(self, block: Block, signals: Sequence[Sequence[Signal]]) -> list[list[Signal]]:
        """The signals of each tick of a block, with `decisions`, `cost_per_hour` and notes of both."""
        ...


class Grouping(Stateful, Protocol):
    """Signals -> few incidents: grouped by the causal graph and by time, deduplicated, inhibited, silenced."""

    def group(self, tick: Tick, signals: Sequence[Signal]) -> list[Incident]:
        """The incidents that are new or have changed, each with its next revision."""
        ...

    def group_block(self, block: Block, signals: Sequence[Sequence[Signal]]) -> list[list[Incident]]:
        """The same for each tick of a block."""
        ...

    def take(self, incidents: Sequence[Incident], silences: Sequence[Silence] | None) -> None:
        """Learn what others have done meanwhile.

        incidents : their revisions; older ones are left alone
        silences : those that there are now, None where they are as they were
        """
        ...


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A cause that was found in another incident.

    since_ns, until_ns : when it held: until it was mended, or its signals ended, or now
    acts_ns : when something was done about it, or undone
    mended : whether something that was done about it stands
    """

    node: str
    kind: str
    since_ns: int
    until_ns: int
    acts_ns: Sequence[int] = ()
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """An incident as its investigation finds it.

    signals : the last of each of its series, inhibited ones included
    changes : of the settings, by rising number, since a week before the earliest signal
    logged : the change log beside them: deploys, schema, campaigns, calendar, notes of people
    now_ns : event time
    elsewhere : the causes of other incidents
    beside : the signals of other open incidents about which nothing that stands was done
    """

    incident: Incident
    signals: Sequence[Signal]
    changes: Sequence[Change]
    logged: Sequence[LoggedChange]
    now_ns: int
    elsewhere: Sequence[Elsewhere] = ()
    beside: Sequence[Signal] = ()


class Investigator(Protocol):
    """Incident -> findings. It asks the rehearsal and the journal, in a bounded number of steps."""

    def investigate(self, case: Case) -> Findings: ...


class Planner(Protocol):
    """Findings -> a plan: remedies in a safe order, dearest last, each rehearsed. A plan may be to wait or escalate."""

    def plan(self, case: Case, findings: Findings, failed: Collection[tuple[str, str]] = ()) -> Plan:
        """failed : remedies and scopes that were undone in this incident, which are not offered again"""
        ...

    def revise(self, case: Case, findings: Findings, plan: Plan, edit: Edit) -> Plan:
        """The plan as a person has edited it, rehearsed again. Raises ValueError where the edit can't be made."""
        ...


class Gate(Protocol):
    """Plan -> ruling, with every rule that spoke. Pure code: the same plan, history and limits, the same ruling."""

    def rule(self, plan: Plan, findings: Findings, history: Sequence[Done], now_ns: int) -> Ruling: ...


class Executor(Protocol):
    """Ruling -> receipts, each step exactly once; and the way back."""

    def act(self, plan: Plan, step: int, by: str, now_ns: int) -> Receipt: ...

    def undo(self, receipt: Receipt, why: str, now_ns: int) -> Receipt: ...

    def abandon(self, plan: Plan, step: int, by: str, why: str, now_ns: int) -> Receipt | None:
        """Take back what a step did before its process was killed, where it is not allowed any more.

        Returns the receipt of what was done and undone; None where nothing had been done.
        """
        ...


class Verifier(Protocol):
    """Receipt and what the journal gained since -> a verdict."""

    def verify(self, case: Case, plan: Plan, receipt: Receipt, now_ns: int) -> Verified: ...


def joined(parts: Sequence[Measured]) -> Measured:
    """The measurements of several monitors, one after the other: columns (series,), or (k, series) of k ticks.

    >>> one = Measured(np.array([0.5]), np.array([10.0]), np.array([np.nan]))
    >>> len(joined([one, one]).value)
    2
    """
    if not parts:
        none = np.zeros(0)
        return Measured(none, none, none)
    return Measured(
        np.concatenate([one.value for one in parts], axis=-1), np.concatenate([one.n for one in parts], axis=-1),
        np.concatenate([one.spread for one in parts], axis=-1),
    )  # fmt: skip
