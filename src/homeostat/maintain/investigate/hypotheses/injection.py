"""Text that asks for something, where a value belongs or in the change log: reported, and never obeyed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.orders import reads_as_order

NODE = "source"


class InjectionHypothesis:
    """See the module."""

    kind: str = Cause.INJECTION
    beats = frozenset(map(str, (Cause.SCHEMA, Cause.MISSING)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The source, where refused values or new categories are orders in words."""
        if self._orders(inquiry):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """How many values since the onset read as orders."""
        inquiry.steps += 1
        found = self._orders(inquiry)
        since = [one for one in inquiry.recent.refused if one.at_ns > inquiry.since_ns]
        share = found / max(1, len(since)) if since else 1.0
        yield Answer(
            "values that read as orders",
            float(found),
            "values",
            6.0 if share > 0.3 else 2.0,
            found > 0,
            inquiry.command,
        )

    def _orders(self, inquiry: Inquiry) -> int:
        recent = inquiry.recent
        values = [one.value for one in recent.refused if one.at_ns > inquiry.low_ns]
        notes = [str(value) for one in inquiry.case.signals for value in _texts(one.notes)]
        return sum(reads_as_order(text) for text in (*values, *notes))

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """How many there were; the text itself goes no further."""
        return {"values": self._orders(inquiry)}


def _texts(notes: Mapping[str, Any]) -> list[str]:
    found = notes.get("values", ())
    return [one for one in found if isinstance(one, str)] if isinstance(found, list | tuple) else []
