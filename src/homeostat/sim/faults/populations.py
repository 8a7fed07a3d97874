"""Shifts of the population: other people, a region never seen, a season, more positives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from homeostat.records.arrays import Int, Mask
from homeostat.records.causes import Cause
from homeostat.sim.faults.fault import Fault, LogEntry, Truth
from homeostat.sim.faults.scene import NEW_KEYS, Scene
from homeostat.sim.faults.traffic import DAY_NS, HOUR_NS, Traffic, copies, merged, relabelled
from homeostat.stats.chance import uniform

_PEAK_DAYS = 4


def tilted(traffic: Traffic, scene: Scene, strength: float) -> Traffic:
    """Some entities do more than before and others less, in the same numbers; each does what it always did.

    strength : the share of the others' events that go, to be made up for by those who do more
    """
    late = traffic.happened(scene.onset_ns)
    more = _favoured(traffic, scene)
    gone = late & ~more & (uniform(scene.seed, traffic.id, 67) < strength)
    pool = np.flatnonzero(late & more)
    if not len(pool):
        return traffic
    rows = pool[scene.rng.integers(0, len(pool), int(gone.sum()))]
    moved = traffic.sent_ns[rows] + ((scene.rng.random(len(rows)) - 0.5) * 2 * HOUR_NS).astype(np.int64)
    moved = np.maximum(moved, scene.onset_ns)
    more_of = scene.varied(copies(traffic, _others(traffic, rows, scene), moved, scene.new_ids(len(rows))))
    return merged([traffic.rows(~gone), more_of])


def _others(traffic: Traffic, rows: Int, scene: Scene) -> Int:
    """(m,) for each row another negative event of the same entity; positive ones stay, since they have their place."""
    if not traffic.keys.shape[1]:
        return rows
    good = np.flatnonzero(traffic.label == 0)
    order = good[np.argsort(traffic.keys[good, 0], kind="stable")]
    known, key = traffic.keys[order, 0], traffic.keys[rows, 0]
    first, last = np.searchsorted(known, key), np.searchsorted(known, key, "right")
    at = np.minimum(first + (scene.rng.random(len(rows)) * (last - first)).astype(np.int64), len(order) - 1)
    found: Int = np.where((traffic.label[rows] == 1) | (last == first), rows, order[at])
    return found


def _favoured(traffic: Traffic, scene: Scene) -> Mask:
    """(n,) whether an event is of the entities that do more: those somewhat above the middle by their usual number."""
    if not traffic.keys.shape[1] or scene.number < 0:
        return scene.of_entities(traffic, 0.4, 71)
    known, place = np.unique(traffic.keys[:, 0], return_inverse=True)
    value = np.nan_to_num(traffic.numbers[:, scene.number])
    usual = np.bincount(place, value, len(known)) / np.bincount(place, minlength=len(known))
    low, high = np.quantile(usual, [0.5, 0.85])
    found: Mask = ((usual >= low) & (usual <= high))[place]
    return found


SHIFT = Fault(
    lambda scene: Truth("source", Cause.POPULATION),
    lambda traffic, scene: tilted(traffic, scene, scene.by_severity(0.25, 0.45, 0.65)),
)


def _unseen(traffic: Traffic, scene: Scene) -> Traffic:
    """A share of the events is of new people far outside of what was seen, many of them positive."""
    rows = traffic.happened(scene.onset_ns) & (
        uniform(scene.seed, traffic.id, 73) < scene.by_severity(0.12, 0.22, 0.35)
    )
    numbers, keys = traffic.numbers.copy(), traffic.keys.copy()
    for column in scene.form.numeric:
        past = numbers[: traffic.since(scene.onset_ns), column]
        top, most = float(np.nanquantile(past, 0.99)), scene.form.most[column]
        drawn = top * (0.9 + 0.9 * uniform(scene.seed + column, traffic.id, 79)[rows])
        numbers[rows, column] = drawn if np.isnan(most) else np.minimum(drawn, most)
    if keys.shape[1]:
        keys[rows, 0] = NEW_KEYS + (uniform(scene.seed, traffic.id, 83)[rows] * 400).astype(np.int64)
    made = replace(traffic, numbers=numbers, keys=keys)
    share = min(0.5, 6 * base_rate(traffic, scene))
    bad = rows & (uniform(scene.seed, traffic.id, 89) < share)
    made = relabelled(made, rows & ~bad, 0, np.full(len(traffic), scene.form.delay_ns))
    return relabelled(made, bad, 1, scene.delays(traffic))


def base_rate(traffic: Traffic, scene: Scene) -> float:
    """The share of positives in the past."""
    past = traffic.label[: traffic.since(scene.onset_ns)]
    return float(past.mean()) if len(past) else 0.0


UNSEEN = Fault(lambda scene: Truth("source", Cause.POPULATION), _unseen, needs="number")


def _peak(traffic: Traffic, scene: Scene) -> Traffic:
    """For some days there is a multiple of the events, half of them of new people, at somewhat higher values."""
    end = scene.onset_ns + _PEAK_DAYS * DAY_NS
    rows = np.flatnonzero(traffic.happened(scene.onset_ns, end))
    rows = np.repeat(rows, int(scene.by_severity(1, 2, 4)))
    donors = np.sort(scene.donors(traffic, len(rows)))
    donors = scene.rng.permutation(donors)
    moved = traffic.sent_ns[rows] + ((scene.rng.random(len(rows)) - 0.5) * HOUR_NS).astype(np.int64)
    made = copies(traffic, donors, np.clip(moved, scene.onset_ns, end), scene.new_ids(len(rows)))
    keys = made.keys.copy()
    if keys.shape[1]:
        new = scene.rng.random(len(rows)) < 0.5
        keys[new, 0] = NEW_KEYS + 10_000 + scene.rng.integers(0, 20_000, int(new.sum()))
    return merged([traffic, scene.varied(replace(made, keys=keys), 1.1)])


def _peak_log(scene: Scene) -> list[LogEntry]:
    return [LogEntry(
        scene.onset_ns - 3 * DAY_NS, "calendar", "source", "seasonal peak", "planning",
        until_ns=scene.onset_ns + _PEAK_DAYS * DAY_NS,
    )]  # fmt: skip


PEAK = Fault(lambda scene: Truth("source", Cause.CALENDAR), _peak, log=_peak_log)


def _more_positives(traffic: Traffic, scene: Scene) -> Traffic:
    """More positives of the same kind: those that there are happen again some hours later or earlier."""
    rows = np.flatnonzero(traffic.happened(scene.onset_ns) & (traffic.label == 1))
    times = scene.by_severity(1.6, 2.0, 3.0) - 1.0
    again = np.repeat(rows, np.floor(times + uniform(scene.seed, traffic.id, 97)[rows]).astype(np.int64))
    moved: Int = traffic.sent_ns[again] + ((scene.rng.random(len(again)) - 0.5) * 12 * HOUR_NS).astype(np.int64)
    moved = np.maximum(moved, scene.onset_ns)
    return merged([traffic, scene.varied(copies(traffic, again, moved, scene.new_ids(len(again))))])


BASE_RATE = Fault(lambda scene: Truth("outcome", Cause.BASE_RATE), _more_positives, shown_by="outcomes")
