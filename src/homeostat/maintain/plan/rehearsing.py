"""A remedy's effect on recent traffic: what it would have cost, and how the mix of decisions would have moved.

Where an outcome is known, it counts; elsewhere the risk that the remedy would have given stands in for it, which is
fair only as long as that risk is calibrated. Where the law of outcomes itself is in doubt, known outcomes alone count.
Positives become known sooner or later than negatives, so each is weighted by the share of its age that is known by now.

Source: Horvitz and Thompson (1952), Journal of the American Statistical Association 47, 663-685.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.ports.rehearsal import Again
from homeostat.records.arrays import Float, Mask, Small
from homeostat.records.library import KeptVersion
from homeostat.records.plans import Blast, Rehearsed
from homeostat.stats.held_out import held_out

_Z = 1.959963984540054  # Two-sided 95 % of a normal law.
_LEAST = 30  # Decisions below which nothing is claimed.
_HOUR_NS = 3_600_000_000_000
_SEEN = 0.15  # Events of an age at which fewer of the positives are known say too little for their weight.


@dataclass(frozen=True, slots=True)
class Effect:
    """The result of a rehearsal.

    hourly_cost : of the present course, in the app's currency
    before, predicted : mean risk now, and with the remedy; spread : standard deviation of the latter
    mix_before, mix : the share of each action, now and with the remedy
    """

    rehearsed: Rehearsed
    blast: Blast
    hourly_cost: float
    before: float
    predicted: float
    spread: float
    mix_before: tuple[float, ...]
    mix: tuple[float, ...]


def effect_of(
    again: Again, actions: int, *, labels_only: bool = False, trusts_served: bool = False,
    since_ns: int | None = None, unlearned: KeptVersion | None = None, positives_least: int = 0,
    expected_ns: int = 0,
) -> Effect:  # fmt: skip
    """The effect of a remedy.

    again : decisions of a span as they were and as they would have been
    labels_only : whether risk may not stand in for outcomes
    trusts_served : whether the risks as they were stand in for outcomes, and not those of the replay
    since_ns : with `labels_only`, when outcomes began to differ; they are of events of some time before
    unlearned : events that this version has learned from do not count
    positives_least : known positives below which nothing is claimed
    expected_ns : events since then say what decisions will look like
    """
    kept = again.kept.astype(bool) & (again.action >= 0) & (again.served_action >= 0)
    moved = kept & (again.action != again.served_action)
    n = int(kept.sum())
    hours = _hours(again)
    known = ~np.isnan(again.label)
    if labels_only and again.seen is not None:
        counted = kept & (again.seen >= _SEEN)
        if since_ns is not None and counted.any():
            newest = int(again.time_ns[counted].max())
            counted &= again.time_ns >= since_ns - max(0, int(again.time_ns.max()) - newest)
        positive = np.where(again.label == 1.0, 1.0, 0.0) / np.maximum(again.seen, _SEEN)
    else:
        first, second = (again.served_risk, again.risk) if trusts_served else (again.risk, again.served_risk)
        positive = np.where(known, again.label, np.where(np.isnan(first), second, first))
        counted = kept & known if labels_only else kept & ~np.isnan(positive)
    if unlearned is not None:
        counted &= (again.time_ns > unlearned.taught_ns) | held_out(again.keys, unlearned.held_out)
    saved, was = _saved(again, positive, counted)
    m = int(counted.sum())
    scale = n / m if m else 0.0
    few = m < _LEAST or int((again.label[counted] == 1.0).sum()) < positives_least
    if few or not again.if_positive.shape[1]:
        rehearsed = Rehearsed(float("nan"), float("nan"), float("nan"), m, "replay" if n else "none")
        hourly = float("nan")
    else:
        value = float(saved.sum()) * scale / hours
        error = float(saved.std(ddof=1)) * np.sqrt(m) * scale / hours
        rehearsed = Rehearsed(value, value - _Z * error, value + _Z * error, m, "replay")
        hourly = float(was.sum()) * scale / hours
    entity = again.keys[:, 0] if again.keys.shape[1] else again.id_code
    share = len(np.unique(entity[moved])) / max(1, len(np.unique(entity[kept])))
    money = float(np.abs(saved).sum()) * scale / hours if m else float("nan")
    blast = Blast(float(moved.sum()) / max(1, n), float(share), money)
    shown = kept & (again.time_ns >= expected_ns)
    risk = again.risk[shown & ~np.isnan(again.risk)]
    served = again.served_risk[shown & ~np.isnan(again.served_risk)]
    return Effect(
        rehearsed, blast, hourly, _mean(served), _mean(risk), float(risk.std()) if len(risk) else float("nan"),
        _mix(again.served_action[shown], actions), _mix(again.action[shown], actions),
    )  # fmt: skip


def against(now: Again, other: Again) -> Again:
    """Two replays of the same events, the first in the place of what was served."""
    _, ours, theirs = np.intersect1d(now.id_code, other.id_code, return_indices=True)
    order = np.argsort(theirs, kind="stable")
    ours, theirs = ours[order], theirs[order]
    return Again(
        other.names, other.id_code[theirs], other.time_ns[theirs], other.keys[theirs], now.risk[ours],
        now.action[ours], now.features[ours], other.risk[theirs], other.action[theirs], other.features[theirs],
        other.label[theirs], other.if_positive[theirs], other.if_negative[theirs],
        other.kept[theirs] & now.kept[ours], None if other.seen is None else other.seen[theirs],
    )  # fmt: skip


def _hours(again: Again) -> float:
    if not len(again):
        return 1.0
    return max(1.0, float(again.time_ns.max() - again.time_ns.min()) / _HOUR_NS)


def _saved(again: Again, positive: Float, counted: Mask) -> tuple[Float, Float]:
    """The saving of each counted decision, and its cost."""
    if not again.if_positive.shape[1]:
        none = np.zeros(int(counted.sum()))
        return none, none
    rows = np.flatnonzero(counted)
    p = positive[rows]

    def cost(action: Small) -> Float:
        found: Float = p * again.if_positive[rows, action] + (1 - p) * again.if_negative[rows, action]
        return found

    was = cost(again.served_action[rows])
    saved: Float = was - cost(again.action[rows])
    return saved, was


def _mix(action: Small, actions: int) -> tuple[float, ...]:
    count = np.bincount(action.astype(np.int64), minlength=actions)[:actions]
    return tuple(float(one) for one in count / max(1, count.sum()))


def _mean(values: Float) -> float:
    return float(values.mean()) if len(values) else float("nan")
