"""The decisions since a step, for its verdict: those that the journal says were made under its changes."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.contracts import Case
from homeostat.maintain.verify.verifier import Course
from homeostat.ports.recent import RecentTraffic
from homeostat.ports.settings import Settings
from homeostat.records.plans import Receipt


def course_of(case: Case, receipt: Receipt, recent: RecentTraffic, settings: Settings) -> Course:
    """The course of a step.

    Where the step changed the settings, no clock is asked: each decision names the last change before it.
    """
    found = recent.until(case.now_ns)
    last = max(receipt.changes, default=0)
    rows = found.settings >= last if last else found.came_ns >= receipt.at_ns
    risk = found.risk[rows & ~np.isnan(found.risk)]
    action = found.action[rows]
    width = len(found.actions)
    mix = np.bincount(action[(action >= 0) & (action < width)], minlength=width)
    shares = tuple(float(one) for one in mix / max(1, int(mix.sum())))
    mean, spread = (float(risk.mean()), float(risk.std())) if len(risk) else (float("nan"), float("nan"))
    still = [one.still for one in case.signals]
    ended = 1.0 - sum(still) / len(still) if still else 0.0
    return Course(len(risk), mean, spread, shares, _in_force(receipt, settings), ended)


def _in_force(receipt: Receipt, settings: Settings) -> bool:
    changes = [one for number in receipt.changes for one in settings.since(number - 1, 1)]
    return all((last := settings.last_of(one.where)) is not None and last.number == one.number for one in changes)
