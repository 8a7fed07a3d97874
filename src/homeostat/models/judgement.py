"""The one place that decides whether a challenger may replace the champion: PASS, FAIL or INCONCLUSIVE.

A judgement rests on evidence of several sources: events that both versions decided, on which outcomes became known
(replayed or in shadow), and a canary's own events beside the champion's. Each source gets its share of the probability
of an error, and its bounds hold at every look, so people and the ramp may look as often as they like.

Sources: Dudik, Langford, Li (2011), Doubly robust policy evaluation and learning, ICML. Waudby-Smith, Arbour, Sinha,
Kennedy, Ramdas (2024), Annals of Statistics 52, 2613-2640. Waudby-Smith, Ramdas (2024), JRSS B 86, 1-27.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from homeostat.records.arrays import Float, Mask
from homeostat.records.verdicts import Verdict
from homeostat.stats import asymptotic
from homeostat.stats.comparison import Better, Metric, compare

WEIGHT_MAX = 200.0  # Labels that are seen more seldom than in one of 200 cases are taken as never seen.
EFFECTIVE_MIN = 100.0  # Equally weighted labels that the seen ones must be worth.


@dataclass(frozen=True, slots=True)
class Paired:
    """`n` events that champion and challenger both decided, in the order in which they matured.

    An event matures when either outcome could have been known. In the order of the reports, which come sooner for bad
    outcomes than for good ones, the first events would all be bad.

    champion, challenger : (n, actions) the probability with which each takes each action, guards included
    cost_negative, cost_positive : (n, actions) cost of each action under either label, in the app's currency
    risk : (n,) the champion's risk
    label : (n,) 0 or 1, NaN where the champion's action hid it
    seen : (n,) the probability with which the champion's actions let the label be seen
    """

    champion: Float
    challenger: Float
    cost_negative: Float
    cost_positive: Float
    risk: Float
    label: Float
    seen: Float

    def __len__(self) -> int:
        return len(self.risk)

    def __post_init__(self) -> None:
        tables = (self.champion, self.challenger, self.cost_negative, self.cost_positive)
        if any(table.shape != self.champion.shape for table in tables):
            raise ValueError("probabilities and costs need one shape: a row for each event, a column for each action")
        if any(column.shape != (len(self.champion),) for column in (self.risk, self.label, self.seen)):
            raise ValueError("risk, label and seen need one value for each event")
        if bool((~np.isnan(self.label) & ~(self.seen > 0)).any()):
            raise ValueError("a label was seen that had no chance to be seen")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One source's answer.

    source : replay, shadow, canary, or a guardrail's name
    statistic : the figure that is judged, in words
    estimate, low, high : of the figure; None while there is none
    n : events of either side; effective : equally weighted events that they are worth
    why : the reason of the verdict, with what would decide an open one
    """

    source: str
    verdict: Verdict
    statistic: str
    estimate: float | None
    low: float | None
    high: float | None
    n: dict[str, int]
    effective: float
    why: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, its reason, and all that it rests on."""

    verdict: Verdict
    why: str
    evidence: tuple[Evidence, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "verdict": self.verdict.value,
            "why": self.why,
            "evidence": [asdict(one) | {"verdict": one.verdict.value} for one in self.evidence],
        }


def judge(evidence: Sequence[Evidence], required: Sequence[str]) -> Judgement:
    """FAIL by the first source that fails; PASS if every required source passes; else INCONCLUSIVE.

    required : sources without which nothing passes. A source that is silent is not a PASS.

    >>> judge([], ["shadow"]).why
    'shadow has no evidence yet'
    """
    given = tuple(evidence)
    for one in given:
        if one.verdict is Verdict.FAIL:
            return Judgement(Verdict.FAIL, f"{one.source}: {one.why}", given)
    by_source = {one.source: one for one in given}
    for source in required:
        found = by_source.get(source)
        if found is None:
            return Judgement(Verdict.INCONCLUSIVE, f"{source} has no evidence yet", given)
        if found.verdict is not Verdict.PASS:
            return Judgement(Verdict.INCONCLUSIVE, f"{source}: {found.why}", given)
    if not given:
        return Judgement(Verdict.INCONCLUSIVE, "there is no evidence", given)
    passed = [one for one in given if one.verdict is Verdict.PASS]
    if not passed:
        return Judgement(Verdict.INCONCLUSIVE, f"{given[0].source}: {given[0].why}", given)
    return Judgement(Verdict.PASS, "; ".join(f"{one.source}: {one.why}" for one in passed), given)


def of_pairs(source: str, pairs: Paired, *, alpha: float = 0.05, margin: float = 0.0) -> Evidence:
    """Evidence from events that both decided: how much cheaper the challenger is for each event.

    alpha : the probability that PASS or FAIL is wrong at any look, at most
    margin : by how much dearer than the champion a challenger that passes may be, for each event
    """
    if not 0.0 < alpha < 1.0 or not 0.0 <= margin < np.inf:
        raise ValueError("alpha is a probability above 0 and below 1, the margin 0 or more")
    low_terms, high_terms, weight = saved(pairs)
    effective = _effective(weight)
    low = asymptotic.mean_bounds(low_terms, alpha)
    high = asymptotic.mean_bounds(high_terms, alpha)
    least = float(low.low.max(initial=-np.inf))
    most = float(high.high.min(initial=np.inf))
    estimate = float((low_terms.mean() + high_terms.mean()) / 2) if len(pairs) else None
    differ = int(np.count_nonzero(np.abs(pairs.champion - pairs.challenger).max(axis=1, initial=0.0) > 0.0))
    facts = _PairFacts(
        len(pairs), differ, effective, least, most, margin, alpha, bool(len(pairs) and low.crowded[-1]), pairs
    )
    verdict, why = _verdict_of(facts)
    return Evidence(
        source, verdict, "cost saved by the challenger for each event", estimate,
        _finite(least), _finite(most), {"events": len(pairs), "differing": differ}, effective, why,
    )  # fmt: skip


def of_arms(
    source: str, arms: Sequence[str], costs: Sequence[float] | Float, *, metric: Metric | None = None,
    better: Better = "lower", alpha: float = 0.05, margin: float = 0.0, statistic: str = "cost of an event",
) -> Evidence:  # fmt: skip
    """Evidence from a canary's events (`treatment`) beside the champion's (`control`), in order of arrival."""
    found = compare(arms, costs, metric=metric, better=better, alpha=alpha, margin=margin)
    return Evidence(
        source, found.verdict, statistic, found.estimate, found.low, found.high, found.n,
        float(min(found.n.values())), found.why, found.warnings,
    )  # fmt: skip


def saved(pairs: Paired) -> tuple[Float, Float, Float]:
    """(n,) at least and (n,) at most saved by the challenger in each event, and (n,) the weight of each seen label.

    The mean of either is doubly robust: the cost that the champion's risk foretells, corrected by the labels that were
    seen, each weighted by how seldom it is seen. Where a label has next to no chance to be seen, the worse of both
    labels counts for the lower one, and the better for the upper one.
    """
    change = pairs.champion - pairs.challenger
    under = np.stack([(change * pairs.cost_negative).sum(axis=1), (change * pairs.cost_positive).sum(axis=1)])
    foretold = (1.0 - pairs.risk) * under[0] + pairs.risk * under[1]
    visible: Mask = pairs.seen >= 1.0 / WEIGHT_MAX
    known: Mask = ~np.isnan(pairs.label) & visible
    weight = np.where(known, 1.0 / np.where(visible, pairs.seen, 1.0), 0.0)
    found = np.where(pairs.label == 1.0, under[1], under[0])
    terms = foretold + weight * (np.where(known, found, 0.0) - foretold)
    return np.where(visible, terms, under.min(axis=0)), np.where(visible, terms, under.max(axis=0)), weight


@dataclass(frozen=True, slots=True)
class _PairFacts:
    n: int
    differ: int
    effective: float
    low: float
    high: float
    margin: float
    alpha: float
    crowded: bool
    pairs: Paired


def _verdict_of(facts: _PairFacts) -> tuple[Verdict, str]:
    """The verdict of paired events, and its reason."""
    sure = f"with {1 - facts.alpha:.6g} confidence at every look"
    obstacle = _obstacle(facts)
    if obstacle:
        return Verdict.INCONCLUSIVE, obstacle
    if facts.differ == 0:
        return _same_actions(facts)
    if facts.low > -facts.margin:
        least = f"it saves at least {facts.low:.4g} for each event {sure}"
        return Verdict.PASS, least if facts.low > 0 else f"{least}, within the margin of {facts.margin:.6g}"
    if facts.high < -facts.margin:
        return Verdict.FAIL, f"it costs at least {-facts.high:.4g} more for each event {sure}"
    if facts.crowded:
        return Verdict.INCONCLUSIVE, (
            f"the {facts.differ:,} of {facts.n:,} events in which the actions differ hold a few large costs that "
            "outweigh the others; more events decide it"
        )
    return Verdict.INCONCLUSIVE, (
        f"it saves between {facts.low:.4g} and {facts.high:.4g} for each event {sure}, which holds "
        f"{-facts.margin + 0.0:.6g}; more outcomes decide it"
    )


def _obstacle(facts: _PairFacts) -> str:
    """The reason why these events can't be judged yet; empty where they can."""
    if facts.n == 0:
        return "no event that both decided has a known outcome"
    if facts.n < asymptotic.VALUES_MIN:
        return f"{facts.n:,} events with outcomes are too few: an interval needs {asymptotic.VALUES_MIN}"
    if facts.effective < EFFECTIVE_MIN:
        return (
            f"the labels that were seen are worth {facts.effective:.0f} equally weighted ones, and {EFFECTIVE_MIN:.0f} "
            "are needed: wait for more outcomes, or raise the hold-out"
        )
    return ""


def _same_actions(facts: _PairFacts) -> tuple[Verdict, str]:
    """The verdict where both took the same actions throughout: by the rate at which they can differ at most."""
    pairs = facts.pairs
    spread = max(
        float((table.max(axis=1) - table.min(axis=1)).max()) for table in (pairs.cost_negative, pairs.cost_positive)
    )
    # A gambler who bets all against "they differ in at least this rate of events" gains that rate at each event in
    # which they do not, and has 1 / alpha now. The probability of that is alpha at most (Ville).
    rate = min(1.0, facts.alpha ** (-1.0 / facts.n) - 1.0)
    if facts.margin > 0.0 and rate * spread <= facts.margin:
        return Verdict.PASS, (
            f"both take the same action in all {facts.n:,} events, so it costs at most {rate * spread:.4g} more for "
            f"each event, within the margin of {facts.margin:.6g}"
        )
    return Verdict.INCONCLUSIVE, (
        f"both take the same action in all {facts.n:,} events: nothing shows that the challenger is better"
        + ("" if facts.margin else "; a margin above 0 says how much dearer it may be")
    )


def _effective(weight: Float) -> float:
    """Kish's effective sample size of the seen labels."""
    square = float((weight**2).sum())
    return float(weight.sum()) ** 2 / square if square > 0 else 0.0


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
