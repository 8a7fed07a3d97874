"""One part of the traffic goes wrong: positives came on top within one range of a field or one category."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import share_z
from homeostat.maintain.investigate.hypotheses.outcomes import Outcomes, enough, outcomes_of
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.arrays import Float, Mask
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

_CUTS = 20
_MOST = 0.4  # A segment with more of the traffic is no segment.


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of the traffic in which most of the excess is.

    where : its condition in the expression language; words : the same for people
    excess : the share of the excess positives in it; traffic : its share of the events
    z : of the rise within; inside : (n,)
    """

    node: str
    where: str
    words: str
    excess: float
    traffic: float
    z: float
    inside: Mask

    @property
    def decides(self) -> bool:
        """Whether nearly all of the excess lies in a small part of the traffic."""
        return self.z > 4 and self.excess > 0.75 and self.traffic <= _MOST


class SegmentHypothesis:
    """See the module."""

    kind: str = Cause.SEGMENT
    beats = frozenset(map(str, (Cause.CONCEPT, Cause.BASE_RATE, Cause.REGIME)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Segments with a signal; else the one with most of the excess."""
        named = [one.series.node for one in inquiry.signals(Kind.SEGMENT) if one.series.node.startswith("segment:")]
        if named:
            yield from dict.fromkeys(named)
        elif inquiry.signals(Kind.CONCEPT, Kind.QUALITY, Kind.BASE_RATE):
            best = best_segment(inquiry, outcomes_of(inquiry))
            if best is not None:
                yield best.node

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """How much of the excess of positives lies in the best segment of that field, and how small that is."""
        inquiry.steps += 1
        found = outcomes_of(inquiry)
        if not enough(found):
            inquiry.not_checked["positives since the onset: too few are known yet"] = None
            return
        best = best_segment(inquiry, found, node.partition(":")[2].split(" ")[0])
        if best is None:
            return
        yield Answer(
            f"excess of positives within {best.words}, {best.traffic:.0%} of the events", best.excess, "share",
            3.0 if best.decides else -2.0, best.decides, inquiry.command,
        )  # fmt: skip
        now, then, z = found.share(found.place > 0.985)
        yield Answer(
            f"positives among the riskiest events, {then:.1%} before", now, "share", 1.5 if z > -2 else -2.5, False,
            inquiry.command,
        )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The condition, and the action that may be scoped to it."""
        best = best_segment(inquiry, outcomes_of(inquiry), node.partition(":")[2].split(" ")[0])
        return {} if best is None else {"where": best.where, "traffic": best.traffic}


def best_segment(inquiry: Inquiry, found: Outcomes, field: str = "") -> Segment | None:
    """The segment with the clearest excess of positives, of one field or of any; None where there is no excess."""
    if not enough(found, 5):
        return None
    parts = [
        part
        for at, name in enumerate(inquiry.recent.fields)
        if field in ("", name)
        for part in _of_field(inquiry, found, at)
    ]
    return max(parts, key=lambda one: one.z, default=None)


def _of_field(inquiry: Inquiry, found: Outcomes, at: int) -> Iterator[Segment]:
    recent = inquiry.recent
    name, kind, value = recent.fields[at], recent.kinds[at], recent.numbers[:, at]
    if kind in ("category", "boolean"):
        for one in np.unique(value[found.now & ~np.isnan(value)])[:64].tolist():
            text = recent.texts.get(one, "")
            shown = repr(text) if kind == "category" else str(bool(one))
            yield _segment(found, f"segment:{name} == {text or shown}", f"{name} == {shown}", value == one)
        return
    past = value[found.then & ~np.isnan(value)]
    if len(past) < 100:
        return
    cuts = np.unique(np.quantile(past, np.linspace(0, 1, _CUTS + 1)))
    low, high = _interval(found, value, cuts)
    inside = (value >= low) & (value <= high)
    where = f"{name} >= {low:.6g} and {name} <= {high:.6g}"
    yield _segment(found, f"segment:{name} in [{low:.4g}, {high:.4g}]", where, inside)


def _interval(found: Outcomes, value: Float, cuts: Float) -> tuple[float, float]:
    """The run of bins with the most excess, net of what the mean excess would give it: the best subarray.

    Source: Kadane's algorithm, as in Bentley (1984), Communications of the ACM 27, 865-873.
    """
    scale = max(1, int(found.now.sum())) / max(1, int(found.then.sum()))
    now, _ = np.histogram(value[found.now & found.positive], cuts)
    then, _ = np.histogram(value[found.then & found.positive], cuts)
    excess = now - then * scale
    excess = excess - max(0.0, float(excess.mean())) - 0.5
    best, best_at, total, start = -np.inf, (0, 0), 0.0, 0
    for place, one in enumerate(excess.tolist()):
        if total <= 0:
            total, start = 0.0, place
        total += one
        if total > best:
            best, best_at = total, (start, place)
    return float(cuts[best_at[0]]), float(cuts[best_at[1] + 1])


def _segment(found: Outcomes, node: str, where: str, inside: Mask) -> Segment:
    now, then = found.now & found.positive, found.then & found.positive
    scale = max(1, int(found.now.sum())) / max(1, int(found.then.sum()))
    whole = float(now.sum() - then.sum() * scale)
    within = float((now & inside).sum() - (then & inside).sum() * scale)
    outside = whole - within
    excess = within / max(within + max(0.0, outside), 1.0)
    n, m = int((found.now & inside).sum()), int((found.then & inside).sum())
    z = share_z(int((now & inside).sum()), n, int((then & inside).sum()), m)
    traffic = m / max(1, int(found.then.sum()))
    return Segment(node, where, where, excess, traffic, z, inside)
