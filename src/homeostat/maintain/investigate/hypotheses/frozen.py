"""A sensor sticks: a plausible value comes again and again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import share_z
from homeostat.maintain.investigate.hypotheses.unit import sticks_to_sources
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

_OTHERS = 0.5  # Where other values rose by as much of its rise, values were rounded, and none sticks.


class FrozenHypothesis:
    """See the module."""

    kind: str = Cause.FROZEN
    beats = frozenset(map(str, (Cause.POPULATION, Cause.CALENDAR, Cause.CONCEPT, Cause.ADVERSARY, Cause.SEGMENT)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Fields with a signal of values that repeat, or that lie otherwise."""
        signals = inquiry.signals(Kind.FROZEN) or inquiry.signals(Kind.DISTRIBUTION)
        yield from dict.fromkeys(one.series.node for one in signals if one.series.node.startswith("field:"))

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """The share of the most frequent value, against its share before; and whether it sticks to some sources."""
        inquiry.steps += 1
        value, share, before, z = stuck_value(inquiry, node)
        rose = z > 6 and share > 3 * before + 0.02
        others = others_rose(inquiry, node, value) if rose else 0.0
        decides = rose and others < _OTHERS
        yield Answer(
            f"events in which {node} is {value:g}, {before:.2%} before", share, "share", 4.0 if rose else -4.0,
            decides, inquiry.command,
        )  # fmt: skip
        if rose and not decides:
            yield Answer(
                "rise of the next three values, of that of this one", others, "share", -8.0, False, inquiry.command
            )
        column = inquiry.column(node)
        if decides and column is not None:
            stuck = sticks_to_sources(inquiry, column[inquiry.after] == value)
            yield Answer(
                f"how far this value of {node} sticks to some of the sources", stuck, "of 1",
                2.0 if stuck > 0.5 else 0.0, False, inquiry.command,
            )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The value, and the condition that says which events have it."""
        value, share, _, _ = stuck_value(inquiry, node)
        name = node.partition(":")[2]
        return {"value": value, "share": share, "where": f"{name} == {value:.15g}"}


def others_rose(inquiry: Inquiry, node: str, value: float) -> float:
    """How much the three values that rose most beside one rose together, of its rise: one alone rises if it sticks."""
    column = inquiry.column(node)
    assert column is not None, "a value of it rose"
    now, then = column[inquiry.after], column[inquiry.before]
    now, then = now[~np.isnan(now)], then[~np.isnan(then)]
    values, counts = np.unique(now, return_counts=True)
    past, before = np.unique(then, return_counts=True)
    at = np.minimum(np.searchsorted(past, values), len(past) - 1)
    rise = counts / len(now) - np.where(past[at] == values, before[at], 0) / len(then)
    one = float(rise[values == value].sum())
    return float(np.sort(rise[values != value])[-3:].clip(0.0).sum()) / max(one, 1e-9)


def stuck_value(inquiry: Inquiry, node: str) -> tuple[float, float, float, float]:
    """The value that rose most, its shares since the onset and before, and by how many standard errors it rose."""
    column = inquiry.column(node)
    if column is None:
        return float("nan"), 0.0, 0.0, 0.0
    now, then = column[inquiry.after], column[inquiry.before]
    now, then = now[~np.isnan(now)], then[~np.isnan(then)]
    if len(now) < 20 or not len(then):
        return float("nan"), 0.0, 0.0, 0.0
    values, counts = np.unique(now, return_counts=True)
    best = (float("nan"), 0.0, 0.0, 0.0)
    for at in np.argsort(-counts)[:5]:
        before = int((then == values[at]).sum())
        z = share_z(int(counts[at]), len(now), before, len(then))
        if z > best[3]:
            best = float(values[at]), float(counts[at]) / len(now), before / len(then), z
    return best
