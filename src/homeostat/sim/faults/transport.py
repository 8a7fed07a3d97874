"""Faults of the transport: events that come twice under new ids, and events that come late."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from homeostat.records.causes import Cause
from homeostat.sim.faults.fault import Fault, Truth
from homeostat.sim.faults.scene import Scene
from homeostat.sim.faults.traffic import NEVER, Traffic, copies, in_order, merged
from homeostat.stats.chance import uniform

_SECOND_NS = 1_000_000_000
_LEAST_LATE_NS = 600 * _SECOND_NS


def _doubled(traffic: Traffic, scene: Scene) -> Traffic:
    """A share of the events is sent again after seconds, under another id; nothing is reported of the copies."""
    share = scene.by_severity(0.03, 0.08, 0.15)
    rows = np.flatnonzero(traffic.happened(scene.onset_ns) & (uniform(scene.seed, traffic.id, 47) < share))
    again = copies(traffic, rows, traffic.sent_ns[rows].copy(), scene.new_ids(len(rows)))
    later = (1 + scene.rng.exponential(20.0, len(rows)).astype(np.int64)) * _SECOND_NS
    again = replace(
        again, time_ns=traffic.time_ns[rows].copy(), arrived_ns=traffic.arrived_ns[rows] + later,
        known_ns=np.full(len(rows), NEVER),
    )  # fmt: skip
    return merged([traffic, again])


DUPLICATES = Fault(lambda scene: Truth("source", Cause.DUPLICATES), _doubled)


def _late(traffic: Traffic, scene: Scene) -> Traffic:
    """A share of the events comes later than the app waits."""
    share = scene.by_severity(0.05, 0.15, 0.3)
    rows = traffic.happened(scene.onset_ns) & (uniform(scene.seed, traffic.id, 53) < share)
    lateness_ns = scene.form.app.events.lateness
    longer = uniform(scene.seed, traffic.id, 59)[rows] * 3 * max(lateness_ns, _LEAST_LATE_NS)
    arrived = traffic.arrived_ns.copy()
    arrived[rows] += lateness_ns + _LEAST_LATE_NS // 10 + longer.astype(np.int64)
    return in_order(replace(traffic, arrived_ns=arrived))


LATE = Fault(lambda scene: Truth("source", Cause.LATE), _late)
