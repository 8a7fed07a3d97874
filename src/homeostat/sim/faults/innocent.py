"""Innocent changes: decoys in the change log, and a mild shift that does no harm."""

from __future__ import annotations

from homeostat.sim.faults.fault import Act, Effect, LogEntry
from homeostat.sim.faults.populations import tilted
from homeostat.sim.faults.scene import Scene
from homeostat.sim.faults.traffic import HOUR_NS, Traffic

DECOYS = ("deploy", "settings", "schema", "campaign")


def decoy(scene: Scene, kind: str) -> tuple[list[Act], list[LogEntry]]:
    """A change that alters nothing, some hours before or after the onset."""
    at_ns = scene.onset_ns + int((scene.rng.random() * 30 - 20) * HOUR_NS)
    if kind == "deploy":
        acts = [Act(at_ns, Effect.DEPLOY, {"version": "a2", "noise": 0.0}, logged="the same model is packed again")]
        return acts, [LogEntry(at_ns, "deploy", "version", "the same model is packed again", "release")]
    if kind == "settings":
        body = {"kind": "list", "draw": float(scene.rng.random())}
        text = "an entry that nobody has is put on a list"
        return [Act(at_ns, Effect.SETTINGS, body, logged=text)], [LogEntry(at_ns, "settings", "settings", text, "risk")]
    texts = {"schema": "a field that is not read is added", "campaign": "a newsletter that sells nothing here"}
    return [], [LogEntry(at_ns, kind, "source", texts[kind], "product")]


def mild_shift(traffic: Traffic, scene: Scene) -> Traffic:
    """A tenth of the activity moves between entities; the law between inputs and outcomes stays."""
    return tilted(traffic, scene, 0.12)
