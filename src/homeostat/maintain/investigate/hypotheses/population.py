"""Other people or things than before, under the same law: inputs shift, and nothing is wrong with the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import beyond_chance, distance, share_z
from homeostat.maintain.investigate.hypotheses.outcomes import data_of, enough, happened, outcomes_of
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.arrays import Float, Int
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "source"
_OWN = 0.5  # Of a shift, the share from which on entities that do otherwise than before make it, and not others.
_OWN_LEAST = 100  # Values of entities that are known, below which their distances say nothing.


class PopulationHypothesis:
    """See the module."""

    kind: str = Cause.POPULATION
    beats: frozenset[str] = frozenset()

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The source, where anything lies otherwise."""
        if inquiry.signals(Kind.DISTRIBUTION, Kind.VOLUME):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """Whether fields or the mix of entities moved."""
        inquiry.steps += 1
        apart, chance, name = most_moved(inquiry)
        new, was, z = new_entities(inquiry)
        shifted, others = apart > chance + 0.02, z > 5 and new > was + 0.02
        yield Answer(
            f"distance of {name or 'values'} from those before", apart, "Kolmogorov-Smirnov", 1.0 if shifted else -1.0,
            False, inquiry.command,
        )  # fmt: skip
        if shifted:
            own = own_distance(inquiry, name)
            explained = own < _OWN * apart
            against = -4.0 if own > chance else -1.0
            yield Answer(
                f"distance of {name} from what the same entities had before", own, "Kolmogorov-Smirnov",
                0.0 if explained or others else against, explained, inquiry.command,
            )  # fmt: skip
        yield Answer(
            f"events of entities that nobody knew, {was:.1%} before", new, "share", 1.5 if others else -0.5, others,
            inquiry.command,
        )  # fmt: skip
        if not shifted and not others:
            tilt = mix_moved(inquiry)
            yield Answer(
                "entities that do more or less than chance allows", tilt, "of 1", 1.0 if tilt > 0.05 else -1.5,
                tilt > 0.05, inquiry.command,
            )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """Whether quality fell with it, and whether outcomes suffice to train on."""
        found, of = outcomes_of(inquiry), happened(inquiry)
        fell = enough(found) and (found.fallen[1] > 3 or found.rise_z > 4)
        more = of is not None and of.z > 4 and of.times > 1.3
        return {"quality_fell": bool(fell or more), **data_of(inquiry)}


def most_moved(inquiry: Inquiry) -> tuple[float, float, str]:
    """The field whose values lie furthest from before: how far, how far chance allows, and its node."""
    best = (0.0, 1.0, "")
    for name in inquiry.recent.fields:
        column = inquiry.column(f"field:{name}")
        assert column is not None, "each field has a column"
        then, now = column[inquiry.before], column[inquiry.after]
        apart = distance(then, now)
        if apart > best[0]:
            best = apart, beyond_chance(len(then), len(now)), f"field:{name}"
    return best


def own_distance(inquiry: Inquiry, node: str) -> float:
    """How far a field lies from what the same entities had before: small where others came, and each does as ever.

    Each event since the onset is held against one of before, of the same entity and drawn in turn. Events of entities
    that were not there before are left out. Without entities, all events count as of one.
    """
    keys, column = inquiry.recent.keys, inquiry.column(node)
    assert column is not None, "it is a field"
    if not keys.shape[1]:
        return 0.0  # Nobody can say who came.
    then, now = keys[inquiry.before, 0], keys[inquiry.after, 0]
    order = np.argsort(then, kind="stable")
    first, last = np.searchsorted(then[order], now), np.searchsorted(then[order], now, "right")
    known = last > first
    if int(known.sum()) < 20:
        return 0.0  # Nobody who was there before came.
    turn = np.zeros(len(now), np.int64)
    by_key = np.argsort(now, kind="stable")
    starts = np.flatnonzero(np.diff(now[by_key], prepend=now[by_key][0] - 1))
    turn[by_key] = np.arange(len(now)) - np.repeat(starts, np.diff(starts, append=len(now)))
    # A step of a large prime spreads the draws over an entity's past, whatever the hours of its events.
    drawn = order[np.minimum(first + turn * 7919 % np.maximum(last - first, 1), len(order) - 1)]
    return distance(column[inquiry.before][drawn[known]], column[inquiry.after][known])


def strayed(inquiry: Inquiry) -> tuple[float, str]:
    """How far the values of a field have come away from those of their own entities, beyond chance, and its node.

    Each number is held against one of before, of the same entity. The distances between both are compared with those of
    the last days before the onset. So numbers that came to other events show, though all of them together are as ever.
    """
    recent, before, after = inquiry.recent, inquiry.before, inquiry.after
    best = (0.0, "")
    if not recent.keys.shape[1]:
        return best
    cut = before.stop - min(after.stop - after.start, (before.stop - before.start) // 2)
    past, spans = slice(before.start, cut), (slice(cut, before.stop), after)
    for name, kind in zip(recent.fields, recent.kinds, strict=True):
        column = inquiry.column(f"field:{name}")
        if kind not in ("number", "integer") or column is None:
            continue
        size = np.log1p(np.abs(column))
        then, now = (_from_own(size, recent.keys[:, 0], past, rows) for rows in spans)
        if min(len(then), len(now)) < _OWN_LEAST:
            continue
        apart = distance(then, now) - beyond_chance(len(then), len(now))
        if apart > best[0]:
            best = apart, f"field:{name}"
    return best


def _from_own(size: Float, key: Int, past: slice, rows: slice) -> Float:
    """How far each value lies from the middle of its entity's values in the past; without entities that had few."""
    known = np.isfinite(size[past])
    names, place = np.unique(key[past][known], return_inverse=True)
    order = np.lexsort((size[past][known], place))
    count = np.bincount(place, minlength=len(names))
    first = np.cumsum(count) - count
    middle = (
        size[past][known][order][np.minimum(first + count // 2, max(0, len(order) - 1))] if len(order) else size[:0]
    )
    if not len(names):
        return size[:0]
    at = np.minimum(np.searchsorted(names, key[rows]), len(names) - 1)
    usable = (names[at] == key[rows]) & (count[at] >= 3) & np.isfinite(size[rows])
    found: Float = np.abs(size[rows] - middle[at])[usable]
    return found


def new_entities(inquiry: Inquiry) -> tuple[float, float, float]:
    """The share of events of entities without any event before: since the onset, in as long a time before, the rise."""
    keys = inquiry.recent.keys
    if not keys.shape[1]:
        return 0.0, 0.0, 0.0
    first, rows, before = keys[:, 0], inquiry.after, inquiry.before
    cut = max(before.start, before.stop - (rows.stop - rows.start))
    now = ~np.isin(first[rows], first[: before.stop])
    then = ~np.isin(first[cut : before.stop], first[:cut])
    z = share_z(int(now.sum()), len(now), int(then.sum()), len(then))
    return float(now.mean()) if len(now) else 0.0, float(then.mean()) if len(then) else 0.0, z


def mix_moved(inquiry: Inquiry) -> float:
    """How much the entities' shares of the traffic moved beyond chance: the spread of their ratios, less Poisson's."""
    keys = inquiry.recent.keys
    if not keys.shape[1]:
        return 0.0
    known, place = np.unique(keys[:, 0], return_inverse=True)
    then = np.bincount(place[inquiry.before], minlength=len(known)).astype(np.float64)
    now = np.bincount(place[inquiry.after], minlength=len(known)).astype(np.float64)
    scale = now.sum() / max(1.0, then.sum())
    expected = then * scale
    busy = expected > 0.5
    if not busy.any():
        return 0.0
    excess = float((((now - expected) ** 2 - expected * (1 + scale))[busy]).sum() / (expected[busy] ** 2).sum())
    return max(0.0, excess)
