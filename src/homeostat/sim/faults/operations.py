"""Faults of operations: deploys, settings, the environment, dependencies, latency, served features."""

from __future__ import annotations

from homeostat.records.causes import Cause
from homeostat.sim.faults.fault import Act, Effect, Fault, Truth
from homeostat.sim.faults.scene import Scene
from homeostat.sim.faults.traffic import HOUR_NS

STORE = "feature_store"
"""The dependency that the drill's model of outages is about."""


def _worse(scene: Scene) -> list[Act]:
    noise = scene.by_severity(0.25, 0.45, 0.7)
    return [Act(scene.onset_ns, Effect.DEPLOY, {"version": "b7", "noise": noise}, logged="a new version is deployed")]


WORSE = Fault(lambda scene: Truth("version", Cause.VERSION), acts=_worse)


def _pushed(scene: Scene) -> list[Act]:
    """A push of the configuration lets the harsher actions begin elsewhere: at a multiple of their share, or never."""
    times = scene.by_severity(4.0, 8.0, 16.0) if scene.rng.random() < 0.6 else scene.by_severity(0.3, 0.1, 0.0)
    return [Act(scene.onset_ns, Effect.THRESHOLD, {"times": times}, logged="thresholds are pushed")]


CONFIGURATION = Fault(lambda scene: Truth("settings", Cause.CONFIGURATION), acts=_pushed)


def _other_library(scene: Scene) -> list[Act]:
    """The same version answers otherwise after a library underneath it has changed. Nothing is logged."""
    body = {"shift": scene.by_severity(0.5, 1.0, 1.8), "scale": scene.by_severity(0.85, 0.7, 0.5)}
    return [Act(scene.onset_ns, Effect.ENVIRONMENT, body)]


ENVIRONMENT = Fault(lambda scene: Truth("environment", Cause.ENVIRONMENT), acts=_other_library)


def _skewed(scene: Scene) -> list[Act]:
    """One feature is served otherwise than it is computed from the record."""
    body = {"feature": scene.feature, "factor": scene.by_severity(1.3, 2.0, 5.0)}
    return [Act(scene.onset_ns, Effect.SKEW, body)]


SKEW = Fault(lambda scene: Truth(f"feature:{scene.feature}", Cause.SKEW), acts=_skewed, needs="feature")


def _away(scene: Scene) -> list[Act]:
    until = scene.onset_ns + int(scene.by_severity(3, 8, 24)) * HOUR_NS
    return [Act(scene.onset_ns, Effect.OUTAGE, {"share": scene.by_severity(0.6, 0.8, 1.0)}, until)]


OUTAGE = Fault(lambda scene: Truth(f"dependency:{STORE}", Cause.OUTAGE), acts=_away)


def _slow(scene: Scene) -> list[Act]:
    return [Act(scene.onset_ns, Effect.LATENCY, {"share": scene.by_severity(0.1, 0.25, 0.5), "factor": 6.0})]


LATENCY = Fault(lambda scene: Truth("serving", Cause.LATENCY), acts=_slow)
