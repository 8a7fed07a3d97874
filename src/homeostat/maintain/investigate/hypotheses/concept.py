"""Outcomes follow otherwise from the same inputs: what looked harmless is positive, and the reverse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from homeostat.maintain.investigate.contrasts import logit_weight
from homeostat.maintain.investigate.hypotheses.labels_odd import at_maturity, of_old_events
from homeostat.maintain.investigate.hypotheses.outcomes import data_of, enough, outcomes_of
from homeostat.maintain.investigate.hypotheses.segment import best_segment
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "outcome"
_RISKY = 0.985
_FEWER_Z = -4.0  # Positives among them are fewer beyond chance: what was positive no longer is.


class ConceptHypothesis:
    """See the module."""

    kind: str = Cause.CONCEPT
    beats: frozenset[str] = frozenset()

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The outcome, where a signal is about outcomes."""
        if inquiry.signals(Kind.CONCEPT, Kind.QUALITY, Kind.CALIBRATION, Kind.SEGMENT):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """Positives at lower risks; fewer among risky events; no single segment, and no labels that are odd."""
        inquiry.steps += 1
        found = outcomes_of(inquiry)
        if not enough(found):
            inquiry.not_checked["positives since the onset: too few are known yet"] = None
            return
        by, errors = found.fallen
        fell = errors > 3 and by > 0.05
        yield Answer(
            "how much lower positives lie by risk than before", by, "of 1", 2.5 if fell else -2.5, fell, inquiry.command
        )
        now, then, z = found.share(found.place > _RISKY)
        yield Answer(
            f"positives among the riskiest events, {then:.1%} before", now, "share", logit_weight(-z, 0.5, 2.0, 2.5),
            z < _FEWER_Z, inquiry.command,
        )  # fmt: skip
        best = best_segment(inquiry, found)
        if best is not None:
            yield Answer(
                f"excess of positives within {best.words}", best.excess, "share", -1.5 if best.decides else 0.5, False,
                inquiry.command,
            )  # fmt: skip
        odd = at_maturity(inquiry, found)
        yield Answer("positives known only when negatives are", odd, "share", -3.0 if odd > 0.3 else 0.5)
        old = of_old_events(inquiry, found)
        yield Answer("rise of positives among events from before the onset", old, "share", -2.0 if old > 0.03 else 0.3)

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """Whether outcomes of the new kind suffice to train on."""
        return data_of(inquiry)
