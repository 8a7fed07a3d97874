"""Marks of labels that are wrong, whatever the events are like: shared by the hypotheses about outcomes."""

from __future__ import annotations

import numpy as np

from homeostat.maintain.investigate.hypotheses.outcomes import Outcomes
from homeostat.maintain.investigate.inquiry import Inquiry

_AT = 0.97  # Of the age at which negatives are known.


def at_maturity(inquiry: Inquiry, found: Outcomes) -> float:
    """The share of positives since the onset that became known at the age of negatives, beyond that of before."""
    negative = found.then & ~found.positive
    if not negative.any():
        return 0.0
    ripe = _AT * float(np.median(found.age[negative]))
    shares = []
    for rows in (found.now, found.then):
        age = found.age[rows & found.positive]
        shares.append(float((age >= ripe).mean()) if len(age) else 0.0)
    return max(0.0, shares[0] - shares[1])


def of_old_events(inquiry: Inquiry, found: Outcomes) -> float:
    """The rise of the share of positives among events that were old when the trouble began."""
    old = inquiry.recent.time_ns < inquiry.low_ns - inquiry.recent.matures_ns // 2
    now, then = found.now & old, found.then
    ripe = found.age > inquiry.recent.matures_ns // 2
    now, then = now & ripe, then & ripe
    if int(now.sum()) < 50 or int(then.sum()) < 50:
        return 0.0
    return float(found.positive[now].mean() - found.positive[then].mean())
