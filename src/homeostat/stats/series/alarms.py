"""Raw scores -> scores and alarms: one episode raises one alarm, and alarms keep to a budget.

The upper twentieth of a series' own latest raw scores is taken as exponential: the level that a share b of the rows
passes is u + scale * log(.05 / b), where u is their 95th percentile. The scale comes from the 95th and 99th percentile,
so that an episode of up to a hundredth of the rows does not move it. Source: peaks over threshold, Pickands (1975).
"""

from __future__ import annotations

import numpy as np

from homeostat.records.arrays import Float, Mask
from homeostat.records.compiled import compiled
from homeostat.stats.series.shapes import ALARMED, JUDGED, MANY, REST, RING, SEEN, TAIL_LEVEL, TAIL_SCALE, WARM, Series

_EVERY = 50  # Rows from one look at the tail to the next.
_LEAST = 300  # Rows before the tail is known.
_UPPER = 0.05
_LATER = 0.3  # The factor of a row's score while a higher one is near.
_LEAVES = 30.0  # An alarm ends below the level that so many times as many rows pass.


@compiled
def judge(s: Series, raw: Float, ready: int, budget: float, threshold: float, score: Float, flag: Mask) -> None:
    """Scores in [0, 1) and alarms of rows in order.

    raw : (n,) at least 0
    ready : how many of these rows still belong to the warm-up
    budget : the share of ordinary rows that may begin an alarm
    threshold : the score from which on a row is flagged; NaN for the budget's own level
    score, flag : (n,) written
    """
    for row in range(len(raw)):
        score[row], flag[row] = 0.0, False
        if row < ready:
            continue
        count = int(s.number[JUDGED])
        highest = 0.0
        for k in range(1, min(REST, count) + 1):
            highest = max(highest, s.latest[(count - k) % RING])
        rests = highest >= raw[row] and s.past.shape[1] <= MANY  # Many metrics: the length of an episode counts.
        held = raw[row] * _LATER if rests else raw[row]
        score[row] = held / (1.0 + held)
        if threshold == threshold:
            flag[row] = score[row] >= threshold
        elif count >= _LEAST:
            allowed = budget * _LEAVES if s.number[ALARMED] > 0 else budget
            level = s.number[TAIL_LEVEL] + s.number[TAIL_SCALE] * max(0.0, np.log(_UPPER / allowed))
            flag[row] = raw[row] > level
        s.number[ALARMED] = 1.0 if flag[row] else 0.0
        s.latest[count % RING] = raw[row]
        s.number[JUDGED] = count + 1
        if count + 1 >= _LEAST and (count + 1) % _EVERY == 0:
            tail = np.sort(s.latest[: min(RING, count + 1)])
            last = len(tail) - 1
            s.number[TAIL_LEVEL] = tail[int(0.95 * last)]
            s.number[TAIL_SCALE] = max((tail[int(0.99 * last)] - tail[int(0.95 * last)]) / np.log(5.0), 1e-9)


def warming(s: Series) -> int:
    """Rows that the series still needs before it is scored."""
    return max(0, WARM - int(s.number[SEEN]))
