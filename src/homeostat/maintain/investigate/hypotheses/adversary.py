"""Somebody tries out what passes: positives grow, and gather where negatives are or just below a threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import share_z
from homeostat.maintain.investigate.hypotheses.outcomes import Outcomes, enough, outcomes_of, purity
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.arrays import Mask
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

_BINS = 50
_PURE = 0.25  # Positives among the events on top, from which on they are an adversary's, and not other people's.


@dataclass(frozen=True, slots=True)
class Gathering:
    """A narrow range of a field to which events moved: its bounds, their share since the onset and before, the rise."""

    low: float
    high: float
    share: float
    before: float
    z: float


class AdversaryHypothesis:
    """See the module."""

    kind: str = Cause.ADVERSARY
    beats = frozenset(map(str, (Cause.POPULATION, Cause.BASE_RATE, Cause.CONCEPT, Cause.SEGMENT, Cause.REGIME)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Number fields and entities with a signal of their values, or of probing."""
        found = [
            one.series.node
            for one in inquiry.signals(Kind.PROBING, Kind.DISTRIBUTION, Kind.FLOOD)
            if one.series.node.startswith(("field:", "entity:"))
        ]
        yield from dict.fromkeys(found)
        if inquiry.signals(Kind.BASE_RATE, Kind.QUALITY, Kind.PROBING):
            yield from (
                f"field:{name}"
                for name, kind in zip(inquiry.recent.fields, inquiry.recent.kinds, strict=True)
                if kind in ("number", "integer") and f"field:{name}" not in found
            )

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """Values that gather in a narrow range; positives that gather there; or entities that are new and bad."""
        inquiry.steps += 1
        found = outcomes_of(inquiry)
        if node.startswith("field:"):
            where = gathering(inquiry, node)
            if where is None:
                return
            decides = where.z > 5 and where.share > 1.5 * where.before
            yield Answer(
                f"events with {node} in [{where.low:.4g}, {where.high:.4g}], {where.before:.1%} before", where.share,
                "share", 1.0 if decides else -1.5, False, inquiry.command,
            )  # fmt: skip
        else:
            decides = False
        if not enough(found, 5):
            inquiry.not_checked["positives since the onset: too few are known yet"] = None
            return
        inside, was, z = self._positives(inquiry, node, found)
        gathers = z > 4 and inside > was + 0.15
        yield Answer(
            f"positives at the place to which {node} moved, {was:.1%} before", inside, "share",
            4.0 if gathers else -2.5, gathers, inquiry.command,
        )  # fmt: skip
        pure = self._purity(inquiry, node, found)
        if pure is not None:
            yield Answer(
                f"positives among the events that came on top where {node} moved to", pure, "share",
                1.0 if pure > _PURE else -5.0, False, inquiry.command,
            )  # fmt: skip
        yield Answer(
            "positives a day, against before", found.times, "times", 1.0 if found.times > 1.5 else -1.0, False,
            inquiry.command,
        )  # fmt: skip

    def _purity(self, inquiry: Inquiry, node: str, found: Outcomes) -> float | None:
        """The share of positives among the events that came on top at the odd place."""
        inside = self._inside(inquiry, node, found)
        return None if inside is None else purity(inquiry, inside)

    def _positives(self, inquiry: Inquiry, node: str, found: Outcomes) -> tuple[float, float, float]:
        """The share of positives at the odd place, since the onset and before, and its rise in standard errors."""
        inside = self._inside(inquiry, node, found)
        if inside is None:
            return 0.0, 0.0, 0.0
        now, then = found.now & found.positive, found.then & found.positive
        a, n, b, m = int((now & inside).sum()), int(now.sum()), int((then & inside).sum()), int(then.sum())
        return a / max(1, n), b / max(1, m), share_z(a, n, b, m)

    def _inside(self, inquiry: Inquiry, node: str, found: Outcomes) -> Mask | None:
        """(n,) whether a row is at the odd place: values of a range, or entities that are new."""
        recent, name = inquiry.recent, node.partition(":")[2]
        if node.startswith("field:"):
            where = gathering(inquiry, node, found.now & found.positive)
            column = inquiry.column(node)
            return None if where is None or column is None else (column >= where.low) & (column <= where.high)
        if name not in recent.entities:
            return None
        keys = recent.keys[:, recent.entities.index(name)]
        return ~np.isin(keys, keys[: inquiry.before.stop])

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The condition of the pattern."""
        found = outcomes_of(inquiry)
        where = gathering(inquiry, node, found.now & found.positive) if node.startswith("field:") else None
        if where is None:
            return {}
        name = node.partition(":")[2]
        return {"where": f"{name} >= {where.low:.6g} and {name} <= {where.high:.6g}"}


def gathering(inquiry: Inquiry, node: str, rows: np.ndarray | None = None) -> Gathering | None:
    """The range of a fifteenth of the past's values that gained most; of all rows since the onset, or of some."""
    column = inquiry.column(node)
    if column is None:
        return None
    then = column[inquiry.before]
    then = then[np.isfinite(then)]
    now = column[inquiry.after] if rows is None else column[rows]
    now = now[np.isfinite(now)]
    if len(then) < 100 or len(now) < 5:
        return None
    cuts = np.quantile(then, np.linspace(0, 1, _BINS + 1))
    best: Gathering | None = None
    for width in (2, 4):
        for at in range(_BINS - width + 1):
            low, high = float(cuts[at]), float(cuts[at + width])
            a, b = int(((now >= low) & (now <= high)).sum()), int(((then >= low) & (then <= high)).sum())
            z = share_z(a, len(now), b, len(then))
            if best is None or z > best.z:
                best = Gathering(low, high, a / len(now), b / len(then), z)
    return best
