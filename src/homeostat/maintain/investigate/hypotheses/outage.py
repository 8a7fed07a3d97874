"""A dependency is away, so that decisions are made without what it gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from homeostat.maintain.investigate.contrasts import share_z
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.reasons import Fallback
from homeostat.records.signals import Kind

_AWAY = Fallback.FEATURES_ABSENT | Fallback.FEATURES_STALE
_FAILED = Fallback.SCORER_FAILED | Fallback.SCORERS_ABSENT | Fallback.POLICY_FAILED
STORE = "dependency:feature_store"


class OutageHypothesis:
    """See the module."""

    kind: str = Cause.OUTAGE
    beats = frozenset(
        map(
            str,
            (
                Cause.MISSING,
                Cause.SCHEMA,
                Cause.SKEW,
                Cause.POPULATION,
                Cause.LATENCY,
                Cause.ENVIRONMENT,
                Cause.CONCEPT,
            ),
        )
    )

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Dependencies with a signal; the feature store where features were absent."""
        signals = inquiry.signals(Kind.OUTAGE)
        yield from dict.fromkeys(one.series.node for one in signals if one.series.node.startswith("dependency:"))
        if signals and not any(one.series.node == STORE for one in signals):
            yield STORE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """The share of decisions that say that they were made without it, since the onset and before."""
        inquiry.steps += 1
        bits, words = (_AWAY, "without features of windows") if node == STORE else (_FAILED, "with a failed part")
        recent = inquiry.recent
        now, then = recent.fallback[inquiry.after] & bits != 0, recent.fallback[inquiry.before] & bits != 0
        share = float(now.mean()) if len(now) else 0.0
        z = share_z(float(now.sum()), len(now), float(then.sum()), len(then))
        decides = z > 5 and share > 0.01
        yield Answer(
            f"decisions made {words} since the onset", share, "share", 6.0 if decides else -4.0, decides,
            inquiry.command,
        )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The action that costs least without what is away is the app's own fallback; nothing else is known."""
        return {}
