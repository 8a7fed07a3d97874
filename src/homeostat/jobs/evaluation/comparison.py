"""Two versions side by side: the differences of their figures by the same draws, and a judgement by their costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeostat.jobs.evaluation.deciding import Run
from homeostat.jobs.evaluation.figures import Scene, figure
from homeostat.jobs.judging import chosen
from homeostat.models.judgement import Paired, judge, of_pairs
from homeostat.records.verdicts import Verdict
from homeostat.stats.resampling import Sampled

SOURCE = "replay"
LOWER_IS_BETTER = frozenset({"brier", "log_loss", "calibration_error", "cost"})


def paired(mine: dict[str, Sampled], theirs: dict[str, Sampled]) -> dict[str, Any]:
    """Each figure of the version less that of the other one, with a paired interval, and which of them is better."""
    found = {}
    for name in mine:
        difference = figure(mine[name].less(theirs[name]))
        found[name] = {**difference, "better": _better(difference, name in LOWER_IS_BETTER)}
    return found


def _better(difference: dict[str, Any], lower: bool) -> str | None:
    """version or against, where the interval leaves no doubt; None elsewhere."""
    low, high = difference["low"], difference["high"]
    if low is None or low <= 0.0 <= high:
        return None
    return "version" if (high < 0.0) == lower else "against"


def judgement(run: Run, against: Run, scene: Scene, alpha: float, margin: float) -> dict[str, Any]:
    """Whether the version may replace the other one, which has the champion's place: the verdict of `models.judgement`.

    The outcomes are taken as they are in the files. Nobody knows by which chance an earlier system let them be seen, so
    events without an outcome are left out, and each other one counts once.
    """
    truth, order = scene.truth, scene.known[np.argsort(scene.truth.time_ns[scene.known], kind="stable")]
    if truth.positive is None or truth.negative is None:
        why = "the app declares no costs, so no version can be better or worse than another"
        return {"verdict": Verdict.INCONCLUSIVE.value, "why": why, "evidence": []}
    whole = np.isfinite(truth.positive[order]).all(axis=1) & np.isfinite(truth.negative[order]).all(axis=1)
    order = order[whole]
    pairs = Paired(
        chosen(against.action[order], against.rule[order], against.propensity[order]),
        chosen(run.action[order], run.rule[order], run.propensity[order]),
        truth.negative[order], truth.positive[order], against.risk[order], truth.label[order], np.ones(len(order)),
    )  # fmt: skip
    found = judge([of_pairs(SOURCE, pairs, alpha=alpha, margin=margin)], [SOURCE]).as_dict()
    return {**found, "alpha": alpha, "margin": margin, "differing": float(np.mean(run.action != against.action))}
