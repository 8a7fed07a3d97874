"""Another version decides, and decides otherwise: tried by deciding again with the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from homeostat.maintain.investigate.hypotheses.settings_again import undone
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.changes import ChangeKind
from homeostat.records.signals import Kind

NODE = "version"


class VersionHypothesis:
    """See the module."""

    kind: str = Cause.VERSION
    beats = frozenset(
        map(str, (Cause.ENVIRONMENT, Cause.CONCEPT, Cause.REGIME, Cause.BASE_RATE, Cause.SEGMENT, Cause.CONFIGURATION))
    )

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The version, where a signal names it or one was deployed near the onset."""
        if inquiry.signals(Kind.VERSION) or inquiry.changes(ChangeKind.DEPLOY):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """A deploy near the onset; then the version before, on the same events."""
        changes = inquiry.changes(ChangeKind.DEPLOY)
        inquiry.steps += 1
        yield Answer(
            "deploys near the onset", float(len(changes)), "changes", 0.5 if changes else -5.0, False,
            "homeostat settings list",
        )  # fmt: skip
        if changes:
            yield from undone(inquiry, changes, "with the version before", least=0.02)

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The version before; `undo` where that is the one of the app file."""
        change = inquiry.changes(ChangeKind.DEPLOY)[-1]
        before = None if change.before is None else change.before.get("version")
        return {"before": before, "undo": True, "change": change.number}
