"""Holds a version against the champion on the events of a journal, and judges it by what became known of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from homeostat.app import censoring_of, costs_of
from homeostat.engine.assembly import Prepared
from homeostat.errors import HomeostatError
from homeostat.jobs.past import PastOutcomes
from homeostat.jobs.shadow import InMemory, Kept
from homeostat.jobs.shadow_places import Place, shadow_of
from homeostat.jobs.training import final
from homeostat.models.judgement import Evidence, Paired, of_pairs
from homeostat.models.maturity import matured
from homeostat.models.training_set import Progress
from homeostat.ports import StandingJournal
from homeostat.records.arrays import Float, Int, Mask
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.renaming import decisions_as
from homeostat.records.rows import decisions_at
from homeostat.records.shadowed import Shadowed

_NONE, _SHOWN_MAX = -1, 10


class NoCosts(HomeostatError):
    """The app declares no costs, so no version can be better or worse than another."""

    why = "versions are judged by what their actions cost"
    remedy = "Declare the cost of each action under `costs` in the app file"


@dataclass(frozen=True, slots=True)
class Held:
    """A version beside the champion.

    events : that both decided; differing : in which they took different actions
    moved : (champion's action, version's action) -> events, of those that differ
    too_young, hidden, silent : events without an outcome that counts, by cause
    """

    events: int
    differing: int
    moved: dict[tuple[str, str], int]
    too_young: int
    hidden: int
    silent: int
    evidence: Evidence

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        most = sorted(self.moved.items(), key=lambda item: (-item[1], item[0]))
        moved = [{"champion": a, "version": b, "events": n} for (a, b), n in most]
        return {
            "events": self.events, "differing": self.differing, "moved": moved, "too_young": self.too_young,
            "hidden": self.hidden, "silent": self.silent,
        }  # fmt: skip


def held_against(
    source: str, prepared: Prepared, journal: StandingJournal, kept: Kept, version: str, *, alpha: float = 0.05,
    margin: float = 0.0, progress: Callable[[int], None] = lambda entry: None, since_ns: int | None = None,
) -> Held:  # fmt: skip
    """The version's decisions beside those of the journal, and their evidence.

    source : how they came about: shadow or replay
    since_ns : only events since then count, such as those that came after its training; all when None
    Raises NoCosts; Unavailable, JournalError.
    """
    if costs_of(prepared.app) is None:
        raise NoCosts(f"{prepared.app.app} declares no costs, so no version can be better or worse than another")
    rows = _Rows(prepared, since_ns)
    outcomes: list[OutcomeBatch] = []
    waiting = iter(kept.read(version))
    made = next(waiting, None)
    for entry in journal.read():
        progress(entry.sequence)
        while made is not None and made.entry < entry.sequence:
            made = next(waiting, None)
        if isinstance(entry.body, OutcomeBatch):
            outcomes.append(entry.body)
        elif isinstance(entry.body, DecisionBatch) and made is not None and made.entry == entry.sequence:
            rows.add(entry.body, made)
    return rows.judged(source, PastOutcomes(outcomes), alpha, margin)


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one entry; the columns of `Paired`, and both actions."""

    events: EventBatch
    champion: Float
    version: Float
    negative: Float
    positive: Float
    risk: Float
    here: Int
    there: Int


def judged(
    app: str | Path, place: Place, version: str, source: Literal["replay", "shadow"], progress: Progress, *,
    alpha: float, margin: float, since_ns: int | None = None, after: int = 0,
) -> Held:  # fmt: skip
    """A version of a registry, held against what the journal beside it decided.

    since_ns : see `held_against`; after : a replay decides the entries behind this one
    Raises AppFileError, UnknownVersion, BundleError, NotTrained, NoCosts, JournalError,
    Unavailable.
    """
    name = place.challenger(version)
    assert name is not None
    with ExitStack() as opened:
        kept: Kept = opened.enter_context(closing(place.open_kept(True))) if source == "shadow" else InMemory()
        one = shadow_of(app, place, name, kept, opened)
        last = max(one.journal.last, 1)
        if source == "replay":
            one.catch_up(after, progress=lambda entry: progress("decides the recorded events", 0.7 * entry / last))
        return held_against(
            source, one.prepared, one.journal, kept, name, alpha=alpha, margin=margin, since_ns=since_ns,
            progress=lambda entry: progress("compares the decisions", 0.7 + 0.3 * min(entry / last, 1.0)),
        )  # fmt: skip


class _Rows:
    """The events that both decided, gathered entry by entry."""

    def __init__(self, prepared: Prepared, since_ns: int | None = None) -> None:
        self._prepared, self._costs, self._since_ns = prepared, costs_of(prepared.app), since_ns
        self._hiding = np.array(censoring_of(prepared.app), np.bool_)
        self._parts: list[_Part] = []

    def add(self, body: DecisionBatch, made: Shadowed) -> None:
        """One entry's decisions of both."""
        assert self._costs is not None
        prepared = self._prepared
        was = decisions_as(body, prepared.words, tuple(prepared.app.scorers), prepared.coding)
        known = was.ruling.action >= 0  # An action that is no more has no cost.
        if self._since_ns is not None:
            known &= was.events.time_ns >= self._since_ns
        was, made = decisions_at(was, known), made.rows(known)
        positive, negative = self._costs(was.events, was.features)
        self._parts.append(
            _Part(
                was.events, chosen(was.ruling.action, was.ruling.rule, was.proposal.propensity),
                chosen(made.action, made.rule, made.propensity), negative, positive, was.fused.risk,
                was.ruling.action.astype(np.int64), made.action.astype(np.int64),
            )
        )  # fmt: skip

    def judged(self, source: str, past: PastOutcomes, alpha: float, margin: float) -> Held:
        """The evidence of all rows, as far as their outcomes count today."""
        maturity, parts = final(self._prepared.app, True), self._parts
        time_ns = _whole([part.events.time_ns for part in parts])
        seen = _whole([part.champion[:, ~self._hiding].sum(axis=1) for part in parts])
        label = _whole([_label(part.events, past) for part in parts])
        # An outcome that came although the action should hide it was seen by other means: its chance is not known.
        label = np.where(seen > 0.0, label, np.nan)
        hidden: Mask = np.isnan(label) & (seen < 1.0)
        today = max(int(time_ns.max(initial=0)), past.newest_ns)
        found = matured(time_ns, label, today, maturity, hidden)
        hidden &= time_ns <= today - maturity.age_ns
        counts = np.flatnonzero(~np.isnan(found.label) | hidden)
        order = counts[np.argsort(time_ns[counts], kind="stable")]
        tables = (_table([getattr(part, name) for part in parts], len(self._hiding)) for name in _TABLES)
        champion, version, negative, positive = (table[order] for table in tables)
        risk = _whole([part.risk for part in parts])[order]
        pairs = Paired(champion, version, negative, positive, risk, found.label[order], seen[order])
        evidence = of_pairs(source, pairs, alpha=alpha, margin=margin)
        moved = self._moved()
        return Held(
            len(label), sum(moved.values()), moved, found.young, int(np.count_nonzero(hidden)), found.silent, evidence
        )

    def _moved(self) -> dict[tuple[str, str], int]:
        """How many events each pair of different actions has."""
        names = self._prepared.app.actions
        here, there = (_whole([getattr(part, name) for part in self._parts]).astype(int) for name in ("here", "there"))
        differ = here != there
        pairs, counts = np.unique(here[differ] * len(names) + there[differ], return_counts=True)
        ends = [divmod(pair, len(names)) for pair in pairs.tolist()]
        return {(names[a], names[b]): n for (a, b), n in zip(ends, counts.tolist(), strict=True)}


_TABLES = ("champion", "version", "negative", "positive")


def _label(events: EventBatch, past: PastOutcomes) -> Float:
    later = past.labels_by(events, None)
    return np.where(np.isnan(later), events.label, later)


def _whole(columns: list[Any]) -> Any:
    return np.concatenate(columns) if columns else np.empty(0)


def _table(parts: list[Float], width: int) -> Float:
    return np.concatenate(parts) if parts else np.empty((0, width))


def chosen(action: Any, rule: Any, propensity: Float) -> Float:
    """(n, actions) the probability with which each action was taken: the policy's, or 1 where a guard decided.

    >>> chosen(np.array([0, 1]), np.array([-1, 3]), np.array([[0.9, 0.1], [0.9, 0.1]])).tolist()
    [[0.9, 0.1], [0.0, 1.0]]
    """
    ruled = np.flatnonzero(np.asarray(rule) != _NONE)
    out: Float = np.array(propensity, dtype=np.float64)
    out[ruled] = 0.0
    out[ruled, np.asarray(action, np.int64)[ruled]] = 1.0
    return out


def sentences(held: Held) -> list[str]:
    """The sentences that a person reads of it."""
    lines = [f"{held.events:,} events, of which {held.differing:,} would have been decided otherwise"]
    for (champion, version), n in sorted(held.moved.items(), key=lambda item: -item[1])[:_SHOWN_MAX]:
        lines.append(f"  {n:,} {champion} -> {version}")
    return [*lines, f"{held.evidence.verdict.value}: {held.evidence.why}"]
