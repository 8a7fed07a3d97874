"""Settings were changed, and decisions with them: tried by deciding again without the change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from homeostat.maintain.investigate.hypotheses.settings_again import undone
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.changes import ChangeKind
from homeostat.records.plans import Alteration
from homeostat.records.signals import Kind

NODE = "settings"


class ConfigurationHypothesis:
    """See the module."""

    kind: str = Cause.CONFIGURATION
    beats = frozenset(map(str, (Cause.CONCEPT, Cause.REGIME, Cause.BASE_RATE, Cause.SEGMENT)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The settings, where a signal names them or one was changed near the onset."""
        if inquiry.signals(Kind.CONFIGURATION) or inquiry.changes(ChangeKind.DEPLOY, beside=True):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """A change near the onset; then the same events without it, as of before."""
        changes = inquiry.changes(ChangeKind.DEPLOY, beside=True)
        inquiry.steps += 1
        yield Answer(
            "settings changed near the onset", float(len(changes)), "changes", 0.5 if changes else -5.0, False,
            "homeostat settings list",
        )  # fmt: skip
        if changes:
            numbers = ", ".join(str(one.number) for one in changes[::-1])
            yield from undone(inquiry, changes, f"without change {numbers}", least=0.01)

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The alterations that bring back the settings before."""
        changes = inquiry.changes(ChangeKind.DEPLOY, beside=True)
        back = {one.where: Alteration(one.kind, one.scope, one.before) for one in changes}
        return {"back": tuple(back.values()), "changes": [one.number for one in changes]}
