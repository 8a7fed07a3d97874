"""Faults of the law between inputs and outcomes: at once, over days, again and again, in one segment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Float
from homeostat.records.causes import Cause
from homeostat.sim.faults.fault import Fault, Truth
from homeostat.sim.faults.populations import base_rate
from homeostat.sim.faults.scene import Scene
from homeostat.sim.faults.traffic import DAY_NS, Traffic, relabelled
from homeostat.stats.chance import uniform


def _moved_law(traffic: Traffic, scene: Scene, how_far: Float) -> Traffic:
    """Positives of the old kind become negative, and as many of a kind that looked harmless become positive.

    how_far : (n,) from 0 to 1
    """
    share = scene.by_severity(0.4, 0.65, 0.9)
    old = (traffic.label == 1) & (uniform(scene.seed, traffic.id, 101) < share * how_far)
    pattern = _harmless_kind(traffic, scene) & (traffic.label == 0)
    past = traffic.happened(scene.frame.past_ns, scene.onset_ns)
    often = max(1e-9, float(pattern[past].mean()))
    rate = min(0.9, base_rate(traffic, scene) / often)
    new = pattern & (uniform(scene.seed, traffic.id, 103) < share * how_far * rate)
    changed = relabelled(traffic, old, 0, np.full(len(traffic), scene.form.delay_ns))
    return relabelled(changed, new, 1, scene.delays(traffic))


def _harmless_kind(traffic: Traffic, scene: Scene) -> NDArray[np.bool_]:
    """(n,) events of a tenth of the entities, at values below the middle."""
    found = scene.of_entities(traffic, 0.15, 107)
    if scene.number >= 0:
        value = traffic.numbers[:, scene.number]
        found &= value <= np.nanquantile(value[: traffic.since(scene.onset_ns)], 0.6)
    return found


def _since(traffic: Traffic, scene: Scene) -> Float:
    return (traffic.sent_ns >= scene.onset_ns).astype(np.float64)


CONCEPT = Fault(
    lambda scene: Truth("outcome", Cause.CONCEPT),
    lambda traffic, scene: _moved_law(traffic, scene, _since(traffic, scene)),
    shown_by="outcomes",
)
DRIFT = Fault(
    lambda scene: Truth("outcome", Cause.CONCEPT),
    lambda traffic, scene: _moved_law(traffic, scene, scene.ramp(traffic.sent_ns, 10.0)),
    shown_by="outcomes",
)


def _in_turn(traffic: Traffic, scene: Scene) -> Traffic:
    """The other law for six days, the usual one for four, and so on."""
    turn = (traffic.sent_ns - scene.onset_ns) % (10 * DAY_NS) < 6 * DAY_NS
    return _moved_law(traffic, scene, _since(traffic, scene) * turn)


REGIME = Fault(lambda scene: Truth("outcome", Cause.REGIME), _in_turn, shown_by="outcomes")


def _segmented(scene: Scene) -> str:
    """The field whose values make the segment, or the hour."""
    categories = scene.form.columns("category", "boolean")
    column = categories[scene.seed % len(categories)] if categories else scene.number
    return scene.form.fields[column] if column >= 0 else "hour"


def segment_of(traffic: Traffic, scene: Scene) -> tuple[str, NDArray[np.bool_]]:
    """A segment of the traffic in words, and (n,) which events are in it: a category, else the upper values."""
    categories = scene.form.columns("category", "boolean")
    past = slice(0, traffic.since(scene.onset_ns))
    if categories:
        column = categories[scene.seed % len(categories)]
        value = traffic.numbers[:, column]
        known, counts = np.unique(value[past][~np.isnan(value[past])], return_counts=True)
        order = np.argsort(-counts, kind="stable")
        chosen = known[order[min(1, len(order) - 1)]]
        words = traffic.words[column]
        text = words[int(chosen)] if words else str(bool(chosen)).lower()
        return f"segment:{scene.form.fields[column]} == {text}", value == chosen
    if scene.number >= 0:
        value = traffic.numbers[:, scene.number]
        low, high = np.nanquantile(value[past], [0.5, 0.75])
        name = scene.form.fields[scene.number]
        return f"segment:{name} in [{low:.4g}, {high:.4g}]", (value >= low) & (value <= high)
    hour = traffic.sent_ns // (DAY_NS // 24) % 24
    return "segment:hour in [0, 6]", hour <= 6


def _segment_wrong(traffic: Traffic, scene: Scene) -> Traffic:
    """In one segment, events that look harmless are positive at a multiple of the usual rate."""
    _, inside = segment_of(traffic, scene)
    rate = min(0.6, base_rate(traffic, scene) * scene.by_severity(3.0, 6.0, 12.0))
    bad = inside & traffic.happened(scene.onset_ns) & (uniform(scene.seed, traffic.id, 109) < rate)
    return relabelled(traffic, bad & (traffic.label == 0), 1, scene.delays(traffic))


SEGMENT = Fault(lambda scene: Truth(f"segment:{_segmented(scene)}", Cause.SEGMENT), _segment_wrong, shown_by="outcomes")
