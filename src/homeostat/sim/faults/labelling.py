"""Faults of labels: they come later, some are flipped, a few accounts report nonsense."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from homeostat.records.arrays import Int
from homeostat.records.causes import Cause
from homeostat.sim.faults.fault import Fault, Truth
from homeostat.sim.faults.scene import NEW_KEYS, Scene
from homeostat.sim.faults.traffic import DAY_NS, NEVER, Traffic, copies, merged
from homeostat.stats.chance import uniform


def _delayed(traffic: Traffic, scene: Scene) -> Traffic:
    """Outcomes are reported later and later over two days, and then so much later."""
    known = traffic.known_ns
    longest = scene.by_severity(4.0, 7.0, 10.0) * min(1.0, scene.form.delay_ns / (2 * DAY_NS))
    rows = (known >= scene.onset_ns) & (known != NEVER)
    lag = np.zeros(len(traffic), np.int64)
    lag[rows] = (scene.ramp(known[rows], 2.0) * longest * DAY_NS).astype(np.int64)
    return replace(traffic, known_ns=np.where(rows, np.where(rows, known, 0) + lag, known))


DELAY = Fault(lambda scene: Truth("labels", Cause.LABEL_DELAY), _delayed, shown_by="outcomes")


def _flipped(traffic: Traffic, scene: Scene) -> Traffic:
    share = scene.by_severity(0.05, 0.1, 0.2)
    rows = (traffic.known_ns >= scene.onset_ns) & (uniform(scene.seed, traffic.id, 61) < share)
    reported = traffic.reported.copy()
    reported[rows] ^= 1
    return replace(traffic, reported=reported)


FLIPS = Fault(lambda scene: Truth("labels", Cause.LABEL_FLIPS), _flipped, shown_by="outcomes")


def _poisoned(traffic: Traffic, scene: Scene) -> Traffic:
    """A few new accounts do harmless things, and report most of them as positive, soon."""
    accounts, a_day = int(scene.by_severity(3, 5, 8)), int(scene.by_severity(6, 10, 15))
    start, end = scene.onset_ns, scene.frame.end_ns
    count = int(accounts * a_day * (end - start) / DAY_NS)
    quiet = np.flatnonzero((traffic.label == 0) & traffic.happened(scene.frame.begin_ns, scene.frame.start_ns))
    donors = quiet[scene.rng.integers(0, len(quiet), count)]
    sent = _at_hours_of(traffic, donors, scene, start, end)
    made = scene.varied(copies(traffic, donors, sent, scene.new_ids(count)))
    keys = made.keys.copy()
    if keys.shape[1]:
        keys[:, 0] = NEW_KEYS + scene.seed % 1000 * 100 + scene.rng.integers(0, accounts, count)
    says = (scene.rng.random(count) < 0.7).astype(np.uint8)
    known = sent + (scene.form.early_ns * (0.5 + 0.5 * scene.rng.random(count))).astype(np.int64)
    return merged([traffic, replace(made, keys=keys, reported=says, known_ns=known)])


def _at_hours_of(traffic: Traffic, donors: Int, scene: Scene, start: int, end: int) -> Int:
    """Moments in the span at the donors' times of day."""
    days = scene.rng.integers(0, max(1, (end - start) // DAY_NS), len(donors))
    moment = start // DAY_NS * DAY_NS + days * DAY_NS + traffic.sent_ns[donors] % DAY_NS
    return np.where(moment < start, moment + DAY_NS, moment)


POISONING = Fault(
    lambda scene: Truth("labels", Cause.POISONING), _poisoned, needs="entity", shown_by="outcomes"
)  # fmt: skip
