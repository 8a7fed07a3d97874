"""More or fewer positives, of the same kind as before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import log
from typing import Any

from homeostat.maintain.investigate.contrasts import logit_weight
from homeostat.maintain.investigate.hypotheses.outcomes import enough, moved_values, outcomes_of
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "outcome"


class BaseRateHypothesis:
    """See the module."""

    kind: str = Cause.BASE_RATE
    beats: frozenset[str] = frozenset()

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The outcome, where a signal says that positives are more or fewer, or risks too high or low."""
        if inquiry.signals(Kind.BASE_RATE, Kind.CALIBRATION):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """Positives a day, against before; and whether they are of the same kind, by risk and by values."""
        inquiry.steps += 1
        found = outcomes_of(inquiry)
        if not enough(found):
            inquiry.not_checked["positives since the onset: too few are known yet"] = None
            return
        z = found.rise_z
        yield Answer(
            "positives a day, against before", found.times, "times", logit_weight(abs(z), 3.0, 2.0, 3.0), False,
            inquiry.command,
        )  # fmt: skip
        by, errors = found.fallen
        same = abs(errors) < 3 or abs(by) < 0.05
        yield Answer(
            "how much lower positives lie by risk than before", by, "of 1", 2.5 if same else -3.5,
            same and abs(z) > 3, inquiry.command,
        )  # fmt: skip
        apart = moved_values(inquiry, found)
        yield Answer(
            "distance of the values of positives from those of before", apart, "Kolmogorov-Smirnov",
            1.0 if apart < 0.2 else -2.5, False, inquiry.command,
        )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The shift of the log-odds that fits as many positives."""
        times = outcomes_of(inquiry).times
        return {"shift": log(times), "scale": 1.0} if times > 0 else {}
