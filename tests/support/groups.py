"""Decisions on groups of people for the tests of fairness: the same numbers on every machine, from counters."""

from dataclasses import replace

import numpy as np

from homeostat.stats.chance import uniform
from homeostat.stats.fairness import Decided

NAMES = ("east", "north", "south", "west")


def decisions(n=4_000, seed=1, weighted=False, persons=None):
    """Four groups of 10, 20, 30 and 40 % of the people, with other risks, thresholds and costs."""
    row = np.arange(n, dtype=np.int64)
    chance = [uniform(seed, row, stream) for stream in range(6)]
    person = row if persons is None else (chance[5] * persons).astype(np.int64)
    group = np.searchsorted([0.1, 0.3, 0.6, 1.0], uniform(seed + 1, person), side="right").astype(np.int64)
    probability = chance[1] ** (2 + group)
    label = (chance[2] < 0.8 * probability + 0.05).astype(float)
    selected = probability + 0.2 * chance[3] > 0.4 + 0.05 * group
    cost = np.where(selected, 1.0 + label, 10.0 * label) + np.round(chance[4], 3)
    weight = np.where(chance[4] < 0.2, 5.0, 1.0) if weighted else None
    return Decided(NAMES, group, selected, label, probability, cost, None if persons is None else person, weight)


def compared(values, measure):
    """The figures of the measure, each large enough to be compared: other libraries leave no group out."""
    return [replace(figure, enough=True) for figure in values if figure.measure == measure]
