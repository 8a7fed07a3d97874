"""How a fusion is fitted: stacked on scores of rows that the scorers had not seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from homeostat.models.training.extras import BadSetting, read_settings
from homeostat.records.arrays import Float
from homeostat.records.compiled import compiled
from homeostat.records.parts import Part
from homeostat.stats.calibration import non_negative_logistic_fit, platt
from homeostat.stats.elementary import logit
from homeostat.stats.metrics import log_loss

# The bend keeps a scorer that is sure beyond reason from outvoting the others; unlike a clip it makes no ties. The
# ridge pulls towards `_home`. Both were chosen on nine folds of card payments; their effect on precision is +-.001.
DEFAULTS: dict[str, Any] = {"limit": 27.0, "bend": 12.0, "ridge": 0.005, "weights": ()}
_PREFERENCE = 12  # A scorer that gains 6 % less than the best starts at half of its share.
_FITTED_MAX = 6  # Scorers; beyond it, subsets are filled by conditional expectation instead of fitted each.
_SCORERS_MAX = 10
ENSEMBLE = "ensemble_fusion"  # The kind of a part that holds several fusions.


def train_fusion(kind: str, scores: Float, y: Float, names: tuple[str, ...], settings: Mapping[str, Any]) -> Part:
    """Fit a fusion of out-of-fold scores.

    kind : learned (logistic regression with weights >= 0), adaptive (the same, a start that moves while it serves) or
        weighted (the declared weights; only slope and intercept are fitted)
    scores : (n, scorers) in [0, 1]; y : (n,) 0 or 1
    settings : limit and bend of the log-odds; ridge; weights, one a scorer, for `weighted`
    Each subset of up to 6 scorers has a model fitted on that subset alone.
    """
    chosen = read_settings("fusion", DEFAULTS, settings)
    s = len(names)
    if not 0 < s <= _SCORERS_MAX:
        raise BadSetting(f"a fusion takes 1 to {_SCORERS_MAX} scorers, not {s}")
    evidence = log_odds(scores, chosen["limit"], chosen["bend"])
    rate = float(y.mean())
    base = float(np.log(rate / (1.0 - rate)))
    weights, reference = np.zeros((1 << s, s)), np.full((1 << s, s), base)
    declared = np.array(chosen["weights"] or [1.0] * s, np.float64)
    if len(declared) != s or (declared < 0).any():
        raise BadSetting(f"a fusion of {s} scorers needs {s} weights of at least 0")
    full = _fit(kind, evidence, y, chosen["ridge"], declared)
    spread = np.atleast_2d(np.cov(evidence, rowvar=False)) + 1e-9 * np.eye(s)
    for subset in range(1, 1 << s):
        there = np.flatnonzero((subset >> np.arange(s)) & 1)
        if len(there) == s:
            w, intercept = full
        elif s <= _FITTED_MAX:
            w, intercept = _fit(kind, evidence[:, there], y, chosen["ridge"], declared[there])
        else:
            w, intercept = _expected(full, evidence.mean(axis=0), spread, there)
        weights[subset, there] = w
        reference[subset, there] = _reference(w, intercept, evidence[:, there].mean(axis=0), base)
    return Part(
        f"{kind}_fusion", tuple(names), {"weights": weights, "reference": reference},
        settings={"base": base, **{name: chosen[name] for name in ("limit", "bend", "ridge")}},
    )  # fmt: skip


def fused_risk(part: Part, scores: Float, subset: int) -> Float:
    """(n,) the risk that a fitted fusion gives to rows of which only a subset of the scorers answers."""
    return np.asarray(np.exp(-np.logaddexp(0.0, -fused_margin(part, scores, subset))))


def fused_margin(part: Part, scores: Float, subset: int) -> Float:
    """(n,) its log-odds."""
    if part.kind == ENSEMBLE:
        parts = [_member(part, kind) for kind in part.settings["members"]]
        together = np.column_stack([fused_margin(one, scores, subset) for one in parts])
        return np.asarray(together @ part.arrays["shares"].astype(np.float64))
    limit, bend = part.settings["limit"], part.settings["bend"]
    there = np.flatnonzero((subset >> np.arange(scores.shape[1])) & 1)
    moved = log_odds(scores[:, there], limit, bend) - part.arrays["reference"][subset, there]
    margin: Float = part.settings["base"] + moved @ part.arrays["weights"][subset, there]
    return margin


def full_weights(part: Part) -> Float:
    """(scorers,) the weights where all of them answer."""
    if part.kind == ENSEMBLE:
        members = [full_weights(_member(part, kind)) for kind in part.settings["members"]]
        return np.asarray(part.arrays["shares"] @ np.stack(members))
    return np.asarray(part.arrays["weights"][-1])


def _member(part: Part, kind: str) -> Part:
    arrays = {name: part.arrays[f"{kind}_{name}"] for name in ("weights", "reference")}
    return Part(f"{kind}_fusion", part.features, arrays, settings=part.settings[kind])


def log_odds(scores: Float, limit: float, bend: float) -> Float:
    """(n, s) log-odds within +-limit, then bent, as where they are served."""
    out = np.empty(scores.shape)
    _logits(np.ascontiguousarray(scores), out)
    held = np.clip(out, -limit, limit)
    bent: Float = held / (1.0 + np.abs(held) / bend)
    return bent


@compiled
def _logits(scores: Float, out: Float) -> None:
    for row in range(scores.shape[0]):
        for column in range(scores.shape[1]):
            out[row, column] = logit(scores[row, column])


def _home(evidence: Float, y: Float) -> Float:
    """Weights to start from: each scorer calibrated on its own, shared out by how much it gains over the base rate."""
    slopes, gains = np.zeros(evidence.shape[1]), np.zeros(evidence.shape[1])
    for column in range(evidence.shape[1]):
        slope, intercept = platt(evidence[:, column], y)
        margin = slope * evidence[:, column] + intercept
        p = np.where(margin >= 0, 1.0, np.exp(np.minimum(margin, 0.0))) / (1.0 + np.exp(-np.abs(margin)))
        slopes[column] = max(slope, 0.0)
        gains[column] = max(log_loss(y, np.full(len(y), y.mean())) - log_loss(y, p), 0.0)
    if gains.max() <= 0.0:
        return np.zeros(len(slopes))
    share = (gains / gains.max()) ** _PREFERENCE
    return np.asarray(slopes * share / share.sum())


def _fit(kind: str, evidence: Float, y: Float, ridge: float, declared: Float) -> tuple[Float, float]:
    if kind in ("learned", "adaptive"):
        return non_negative_logistic_fit(evidence, y, ridge, towards=_home(evidence, y))
    if kind != "weighted":
        raise BadSetting(f"there is no fusion {kind!r}; there are weighted, learned and adaptive")
    total = declared.sum()
    if total == 0.0:
        return np.zeros(len(declared)), float(np.log(y.mean() / (1.0 - y.mean())))
    slope, intercept = platt(evidence @ declared / total, y)
    return max(slope, 0.0) * declared / total, intercept


def _expected(full: tuple[Float, float], mean: Float, spread: Float, there: Any) -> tuple[Float, float]:
    """The full model with missing log-odds at their expectation given the others, were all of them Gaussian."""
    w, intercept = full
    missing = np.setdiff1d(np.arange(len(w)), there)
    passed = np.linalg.solve(spread[np.ix_(there, there)], spread[np.ix_(there, missing)] @ w[missing])
    return w[there] + passed, float(intercept + w[missing] @ mean[missing] - passed @ mean[there])


def _reference(w: Float, intercept: float, mean: Float, base: float) -> Float:
    """The point nearest to the mean log-odds at which the risk is the base rate."""
    size = float(w @ w)
    return mean - (intercept + w @ mean - base) * w / size if size > 0 else mean
