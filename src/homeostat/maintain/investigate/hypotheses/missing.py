"""A field is absent from a share of the events, whoever sends them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import share_z
from homeostat.maintain.investigate.hypotheses.renamed import renamed
from homeostat.maintain.investigate.hypotheses.schema import refused
from homeostat.maintain.investigate.hypotheses.unit import whole_sources
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.reasons import Reason
from homeostat.records.signals import Kind


class MissingHypothesis:
    """See the module."""

    kind: str = Cause.MISSING
    beats = frozenset(map(str, (Cause.POPULATION, Cause.CALENDAR, Cause.CONCEPT, Cause.SEGMENT, Cause.FROZEN)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Fields with a signal of missing values, or of refused ones."""
        signals = inquiry.signals(Kind.MISSING, Kind.SCHEMA)
        yield from dict.fromkeys(one.series.node for one in signals if one.series.node.startswith("field:"))

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """The share of events without it, against before; and whether all sources leave it out alike."""
        inquiry.steps += 1
        column = inquiry.column(node)
        if column is None:
            return
        absent, was = np.isnan(column[inquiry.after]), np.isnan(column[inquiry.before])
        now, then = (sum(one.reason == Reason.MISSING for one in part) for part in refused(inquiry, node))
        n, m = len(absent) + now, len(was) + then
        hits, before = int(absent.sum()) + now, int(was.sum()) + then
        share, z = hits / max(1, n), share_z(hits, n, before, m)
        more = z > 4 and share > before / max(1, m) + 0.01
        stuck, whole = whole_sources(inquiry, absent) if absent.any() else (0.0, False)
        other = renamed(inquiry, node) if more else None
        if other is not None:
            yield Answer(other.named(node), other.share, "share", -6.0, False, inquiry.command)
            return
        decides = more and whole is False
        weight = 4.0 if decides else 1.0 if more and whole is None else -4.0
        yield Answer(f"events without {node} since the onset", share, "share", weight, decides, inquiry.command)
        if absent.any() and more:
            if whole is None:
                inquiry.not_checked[f"whether whole sources leave out {node}: too few events of any source"] = None
            yield Answer(
                f"how far missing values of {node} stick to some of the sources", stuck, "of 1",
                0.0 if whole is None else -4.0 if whole else 2.0, False, inquiry.command,
            )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The field's usual value, by which it may be filled in."""
        column = inquiry.column(node)
        then = np.zeros(0) if column is None else column[inquiry.before]
        then = then[~np.isnan(then)]
        return {"typical": float(np.median(then))} if len(then) else {}
