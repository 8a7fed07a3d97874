"""A field has another name, type, format or category: events are refused, or values come that nobody knew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from homeostat.maintain.investigate.contrasts import share_z
from homeostat.maintain.investigate.hypotheses.renamed import renamed
from homeostat.maintain.investigate.hypotheses.unit import whole_sources
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.ports.recent import Refused
from homeostat.records.causes import Cause
from homeostat.records.reasons import Reason
from homeostat.records.signals import Kind

_SHARE = 0.01


class SchemaHypothesis:
    """See the module."""

    kind: str = Cause.SCHEMA
    beats = frozenset(map(str, (Cause.MISSING, Cause.POPULATION, Cause.CALENDAR, Cause.LATE, Cause.CONCEPT)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Fields with a signal of their schema, or of missing values."""
        signals = inquiry.signals(Kind.SCHEMA, Kind.MISSING)
        yield from dict.fromkeys(one.series.node for one in signals if one.series.node.startswith("field:"))

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """Values that were refused; new categories; and missing ones that stick to some of the sources."""
        inquiry.steps += 1
        now, then = refused(inquiry, node)
        n, m = inquiry.after.stop - inquiry.after.start, inquiry.before.stop - inquiry.before.start
        odd = [one for one in now if one.reason in (Reason.WRONG_TYPE, Reason.OUT_OF_RANGE, Reason.MALFORMED)]
        was = [one for one in then if one.reason in (Reason.WRONG_TYPE, Reason.OUT_OF_RANGE, Reason.MALFORMED)]
        share = len(odd) / max(1, n + len(now))
        decides = share > _SHARE and share_z(len(odd), n + len(now), len(was), m + len(then)) > 4
        yield Answer(
            f"events refused for the form of {node}", share, "share", 6.0 if decides else 0.0, decides, inquiry.command
        )
        if decides:
            return
        new = _new_categories(inquiry, node)
        if new is not None:
            yield Answer(
                f"values of {node} that nobody knew", new, "share", 5.0 if new > _SHARE else -2.0, new > _SHARE,
                inquiry.command,
            )  # fmt: skip
        other = renamed(inquiry, node)
        if other is not None:
            yield Answer(other.named(node), other.share, "share", 6.0, True, inquiry.command)
            return
        yield from self._missing(inquiry, node, len(now), len(then))

    def _missing(self, inquiry: Inquiry, node: str, now: int, then: int) -> Iterator[Answer]:
        """Where whole sources leave a field out, its name has changed; where some events of each do, it is missing."""
        column = inquiry.column(node)
        if column is None:
            return
        absent = np.isnan(column[inquiry.after])
        inquiry.steps += 1
        if absent.any() and float(absent.mean()) > _SHARE:
            stuck, whole = whole_sources(inquiry, absent)
            yield Answer(
                f"how far missing values of {node} stick to some of the sources", stuck, "of 1",
                0.0 if whole is None else 4.0 if whole else -4.0, whole is True, inquiry.command,
            )  # fmt: skip
        elif now > 5 * then + 20:
            stuck = _silent_sources(inquiry)
            yield Answer(
                f"how far events refused without {node} stick to some of the sources", stuck, "of 1",
                4.0 if stuck > 0.5 else -3.0, stuck > 0.5, inquiry.command,
            )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """Another name of it; examples of values; the action that each event may get while the field can't be read."""
        now, _ = refused(inquiry, node)
        examples = [value for value, _ in Counter(one.value for one in now).most_common(5)]
        other = renamed(inquiry, node)
        name = {} if other is None else {"from": other.name}
        return {**name, "examples": examples, "action": inquiry.recent.actions[0]}


def refused(inquiry: Inquiry, node: str) -> tuple[list[Refused], list[Refused]]:
    """The events that were refused for a field, since the onset and before."""
    name, low = node.partition(":")[2], inquiry.low_ns
    of = [one for one in inquiry.recent.refused if one.field == name]
    return [one for one in of if one.at_ns > inquiry.since_ns], [one for one in of if one.at_ns <= low]


def _new_categories(inquiry: Inquiry, node: str) -> float | None:
    """The share of values of a category that did not occur before; None for other fields."""
    recent, name = inquiry.recent, node.partition(":")[2]
    if name not in recent.fields or recent.kinds[recent.fields.index(name)] != "category":
        return None
    column = inquiry.column(node)
    assert column is not None, "it is a field"
    now, then = column[inquiry.after], column[inquiry.before]
    now, known = now[~np.isnan(now)], np.unique(then[~np.isnan(then)])
    return float(1 - np.isin(now, known).mean()) if len(now) else 0.0


def _silent_sources(inquiry: Inquiry) -> float:
    """Between events thinned at random (0) and whole sources gone (1): how many of the busy sources are silent."""
    source = inquiry.source
    keys, counts = np.unique(source[inquiry.before], return_counts=True)
    hours = inquiry.hours
    expected = counts * hours[1] / hours[0]
    n = inquiry.after.stop - inquiry.after.start
    kept = min(1.0, n / max(1.0, float(expected.sum())))
    there = np.isin(keys, source[inquiry.after])
    thinned = float((1 - np.exp(-expected * kept)).sum())
    gone = float((1 - np.exp(-expected)).sum()) * kept
    if thinned - gone < 3 * np.sqrt(max(1.0, gone)):
        return 0.5  # There are too few events yet.
    return float(np.clip((thinned - there.sum()) / (thinned - gone), 0.0, 1.0))
