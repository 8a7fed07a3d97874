"""The severity of an incident: what it costs an hour against what the app ordinarily costs."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from homeostat.records.incidents import Severity

_BY_COST = ((1.0, Severity.CRITICAL), (0.25, Severity.HIGH), (0.05, Severity.MEDIUM))
_BY_SHARE = ((0.5, Severity.CRITICAL), (0.1, Severity.HIGH), (0.01, Severity.MEDIUM))


def severity_of(cost_per_hour: float, ordinary: float, share: float) -> Severity:
    """By cost and by the share of decisions that came out otherwise, the worse of both where both are known.

    cost_per_hour, ordinary : in the app's currency, NaN where not known
    share : NaN where not known. With neither, it is medium: somebody should look.

    >>> severity_of(30.0, 100.0, float("nan")), severity_of(0.0, 100.0, 0.6), severity_of(float("nan"), 100.0, 0.005)
    (<Severity.HIGH: 'high'>, <Severity.CRITICAL: 'critical'>, <Severity.LOW: 'low'>)
    """
    found: list[Severity] = []
    if isfinite(cost_per_hour) and isfinite(ordinary) and ordinary > 0:
        found.append(_above(cost_per_hour / ordinary, _BY_COST))
    if isfinite(share):
        found.append(_above(share, _BY_SHARE))
    return worst(found) if found else Severity.MEDIUM


def worst(severities: Sequence[Severity]) -> Severity:
    """The worst of some severities.

    >>> worst([Severity.HIGH, Severity.LOW])
    <Severity.HIGH: 'high'>
    """
    return max(severities, key=list(Severity).index)


def _above(value: float, steps: tuple[tuple[float, Severity], ...]) -> Severity:
    return next((severity for least, severity in steps if value >= least), Severity.LOW)
