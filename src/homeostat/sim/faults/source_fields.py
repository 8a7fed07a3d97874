"""Faults of source fields: unit, schema, missing values, a sensor that sticks, a clock that is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from homeostat.records.causes import Cause
from homeostat.sim.faults.fault import Fault, Truth
from homeostat.sim.faults.scene import Scene
from homeostat.sim.faults.traffic import RENAMED, RETYPED, Traffic, in_order
from homeostat.stats.chance import uniform

_MINUTE_NS = 60_000_000_000


def _another_unit(traffic: Traffic, scene: Scene) -> Traffic:
    """A share of the sources sends a hundredfold: cents for euros."""
    rows = traffic.happened(scene.onset_ns) & scene.among_sources(traffic, scene.by_severity(0.3, 0.6, 1.0))
    numbers, most = traffic.numbers.copy(), scene.form.most[scene.number]
    numbers[rows, scene.number] *= 100.0
    if not np.isnan(most):
        numbers[rows, scene.number] = np.minimum(numbers[rows, scene.number], most)
    return replace(traffic, numbers=numbers)


UNIT = Fault(lambda scene: Truth(scene.node(scene.number), Cause.UNIT), _another_unit, needs="number")


def _another_schema(traffic: Traffic, scene: Scene) -> Traffic:
    """A share of the sources renames a field, or writes a number as text; a category gets a value that is new."""
    rows = traffic.happened(scene.onset_ns) & scene.among_sources(traffic, scene.by_severity(0.3, 0.6, 1.0))
    column = scene.column
    if scene.form.kinds[column] == "category" and scene.rng.random() < 0.5:
        words = list(traffic.words)
        words[column] = (*words[column], "other (new)")
        numbers = traffic.numbers.copy()
        often = uniform(scene.seed, traffic.id, 41) < 0.5
        numbers[rows & often, column] = len(words[column]) - 1
        return replace(traffic, numbers=numbers, words=tuple(words))
    form = traffic.form.copy()
    form[rows, column] = RENAMED if scene.rng.random() < 0.5 else RETYPED
    return replace(traffic, form=form)


SCHEMA = Fault(lambda scene: Truth(scene.node(scene.column), Cause.SCHEMA), _another_schema, needs="field")


def _missing(traffic: Traffic, scene: Scene) -> Traffic:
    rows = traffic.happened(scene.onset_ns) & (uniform(scene.seed, traffic.id, 43) < scene.by_severity(0.1, 0.25, 0.4))
    numbers = traffic.numbers.copy()
    numbers[rows, scene.column] = np.nan
    return replace(traffic, numbers=numbers)


MISSING = Fault(lambda scene: Truth(scene.node(scene.column), Cause.MISSING), _missing, needs="field")


def _stuck(traffic: Traffic, scene: Scene) -> Traffic:
    """A share of the sources sends one plausible value again and again, the median of its past."""
    rows = traffic.happened(scene.onset_ns) & scene.among_sources(traffic, scene.by_severity(0.15, 0.4, 0.8))
    numbers = traffic.numbers.copy()
    past = numbers[: traffic.since(scene.onset_ns), scene.number]
    numbers[rows, scene.number] = float(np.nanquantile(past, 0.5, method="lower"))
    return replace(traffic, numbers=numbers)


FROZEN = Fault(lambda scene: Truth(scene.node(scene.number), Cause.FROZEN), _stuck, needs="number")


def _skewed_clock(traffic: Traffic, scene: Scene) -> Traffic:
    """The clocks of a share of the sources are wrong, by minutes or by time zones."""
    rows = traffic.happened(scene.onset_ns) & scene.among_sources(traffic, scene.by_severity(0.5, 0.75, 1.0))
    minutes = int(scene.by_severity(45, 120, 60 * int(scene.rng.integers(3, 9))))
    sign = 1 if scene.rng.random() < 0.35 else -1
    time_ns = traffic.time_ns.copy()
    time_ns[rows] += sign * minutes * _MINUTE_NS
    return in_order(replace(traffic, time_ns=time_ns))


CLOCK = Fault(lambda scene: Truth("time", Cause.CLOCK), _skewed_clock)
