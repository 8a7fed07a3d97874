"""A few new accounts report nonsense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.hypotheses.outcomes import Outcomes, outcomes_of
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.arrays import Mask
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "labels"
_FEW = 12


class PoisoningHypothesis:
    """See the module."""

    kind: str = Cause.POISONING
    beats = frozenset(
        map(
            str,
            (
                Cause.CONCEPT,
                Cause.REGIME,
                Cause.BASE_RATE,
                Cause.SEGMENT,
                Cause.LABEL_FLIPS,
                Cause.POPULATION,
                Cause.LABEL_DELAY,
                Cause.ADVERSARY,
            ),
        )
    )

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Labels, where accounts are odd or new, or positives more."""
        new = any(one.series.node.startswith("entity:") for one in inquiry.signals(Kind.DISTRIBUTION))
        if new or inquiry.signals(Kind.POISONING, Kind.FLIPS, Kind.BASE_RATE, Kind.CONCEPT, Kind.DELAY):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """The share of positives that a few accounts report, most of them harmless by risk."""
        inquiry.steps += 1
        found = outcomes_of(inquiry)
        if int((found.now & found.positive).sum()) < 8 or not inquiry.recent.keys.shape[1]:
            inquiry.not_checked["positives since the onset: too few are known yet"] = None
            return
        keys, share, before = accounts(inquiry, found)
        decides = share > max(0.2, 2 * before) and len(keys) > 0
        yield Answer(
            f"positives since the onset of {len(keys)} accounts with many of them, {before:.1%} before", share, "share",
            5.0 if decides else -4.0, decides, inquiry.command,
        )  # fmt: skip
        if decides:
            rows = found.now & found.positive & np.isin(inquiry.recent.keys[:, 0], keys) & _unlearned(inquiry, keys)
            if not rows.any():
                return
            place = float(np.median(found.place[rows]))
            yield Answer("the place of these positives by risk", place, "of 1", 1.0 if place < 0.9 else -3.0)

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The accounts."""
        recent = inquiry.recent
        keys, _, _ = accounts(inquiry, outcomes_of(inquiry))
        return {"accounts": keys, "entity": recent.entities[0] if recent.entities else ""}


def _unlearned(inquiry: Inquiry, keys: list[int]) -> Mask:
    """(n,) the events of some accounts from before their first positive was known.

    Later ones have a high risk because of it: windows count what was reported, right or wrong.
    """
    recent = inquiry.recent
    key, rows = recent.keys[:, 0], np.zeros(len(recent), np.bool_)
    for one in keys:
        own = key == one
        first = recent.known_ns[own & (recent.label == 1.0)].min(initial=recent.now_ns)
        rows |= own & (recent.came_ns < first)
    return rows


def accounts(inquiry: Inquiry, found: Outcomes) -> tuple[list[int], float, float]:
    """Accounts with an unlikely number of positives, new ones among the first; their share; that of the same before."""
    keys = inquiry.recent.keys[:, 0]
    shares: list[float] = []
    chosen: list[int] = []
    for rows in (found.now & found.positive, found.then & found.positive):
        known, counts = np.unique(keys[rows], return_counts=True)
        many = counts >= max(3, 4 * float(counts.mean()) if len(counts) > _FEW else 3)
        order = np.argsort(-counts[many], kind="stable")[:_FEW]
        top = known[many][order]
        if not shares:
            chosen = top.tolist()
        shares.append(float(counts[many][order].sum()) / max(1, int(counts.sum())))
    return chosen, shares[0], shares[1]
