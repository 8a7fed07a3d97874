"""Labels are flipped at random: positives come up anywhere, among events of all risks, and risky ones are negative."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from homeostat.maintain.investigate.contrasts import concentration, logit_weight
from homeostat.maintain.investigate.hypotheses.labels_odd import at_maturity, of_old_events
from homeostat.maintain.investigate.hypotheses.outcomes import outcomes_of
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "labels"


class LabelFlipsHypothesis:
    """See the module."""

    kind: str = Cause.LABEL_FLIPS
    beats = frozenset(map(str, (Cause.CONCEPT, Cause.REGIME, Cause.BASE_RATE, Cause.SEGMENT, Cause.POISONING)))

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """Labels, where they contradict their neighbours, or outcomes seem to follow otherwise."""
        if inquiry.signals(Kind.FLIPS, Kind.POISONING, Kind.CONCEPT, Kind.BASE_RATE):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """Positives among harmless events; whether they are anybody's; among old events; and known late."""
        inquiry.steps += 1
        found = outcomes_of(inquiry)
        if int(found.now.sum()) < 100:
            inquiry.not_checked["outcomes since the onset: too few are known yet"] = None
            return
        harmless = found.place < 0.5
        now, then, z = found.share(harmless)
        rose = z > 4 and now - then > 0.015
        yield Answer(
            f"positives among harmless events, {then:.2%} before", now, "share", 1.5 if rose else -4.0, False,
            inquiry.command,
        )  # fmt: skip
        if not rose:
            return
        keys = inquiry.recent.keys
        rows = found.now & harmless
        stuck, counted = concentration(keys[rows, 0], found.positive[rows], 4) if keys.shape[1] else (0.0, 0)
        if counted >= 10:
            yield Answer(
                "how far these positives stick to some of the entities", stuck, "of 1",
                logit_weight(-stuck, -0.2, 0.15, 2.0), False, inquiry.command,
            )  # fmt: skip
        odd, old = at_maturity(inquiry, found), of_old_events(inquiry, found)
        yield Answer("positives known only when negatives are", odd, "share", 3.0 if odd > 0.3 else -2.0, odd > 0.3)
        yield Answer(
            "rise of positives among events from before the onset",
            old,
            "share",
            2.5 if old > 0.02 else -1.0,
            old > 0.02,
        )

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The share of labels that are flipped, about."""
        found = outcomes_of(inquiry)
        now, then, _ = found.share(found.place < 0.5)
        return {"share": max(0.0, now - then)}
