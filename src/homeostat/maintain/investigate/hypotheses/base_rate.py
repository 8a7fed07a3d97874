"""More or fewer positives, of the same kind as before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import log
from typing import Any

from homeostat.maintain.investigate.contrasts import logit_weight
from homeostat.maintain.investigate.hypotheses.labels_odd import at_maturity, of_old_events
from homeostat.maintain.investigate.hypotheses.outcomes import (
    Outcomes,
    enough,
    expected_by_risk,
    happened,
    moved_values,
    outcomes_of,
)
from homeostat.maintain.investigate.hypotheses.population import most_moved, strayed
from homeostat.maintain.investigate.inquiry import Answer, Inquiry
from homeostat.records.causes import Cause
from homeostat.records.signals import Kind

NODE = "outcome"
_MOST = 5.0  # No base rate moves so far in days. Risks that hardly tell positives apart make any number of a rise.
_SAME = 0.1  # Positives that lie lower by risk are of another kind.
_STRAYED = 0.05  # Beyond chance: then risks and outcomes go with other values, and moving all risks mends nothing.
_INPUTS = ("field:", "feature:", "source", "entity:")
_RISE, _RISE_Z = 1.25, 4.0  # So many times as many positives by risk, and so many standard errors between days.


class BaseRateHypothesis:
    """See the module."""

    kind: str = Cause.BASE_RATE
    beats: frozenset[str] = frozenset()

    def places(self, inquiry: Inquiry) -> Iterable[str]:
        """The outcome, where a signal says that positives are more or fewer, or risks too high or low."""
        if inquiry.signals(Kind.BASE_RATE, Kind.CALIBRATION):
            yield NODE

    def tests(self, inquiry: Inquiry, node: str) -> Iterator[Answer]:
        """Positives a day, against before; whether they are of the same kind; and how many the risks expect."""
        inquiry.steps += 1
        by_own, where = strayed(inquiry)
        if by_own > _STRAYED:
            yield Answer(
                f"how far values of {where} came away from those of their own entities", by_own, "Kolmogorov-Smirnov",
                -6.0, False, inquiry.command,
            )  # fmt: skip
        found = outcomes_of(inquiry)
        z = 0.0
        if enough(found):
            times, z = times_of(inquiry, found)
            far = not 1 / _MOST < times < _MOST
            weight = -3.0 if far else logit_weight(abs(z), 3.0, 2.0, 3.0)
            yield Answer("positives a day, against before", times, "times", weight, False, inquiry.command)
            by, errors = found.fallen
            same = abs(by) < _SAME and (abs(errors) < 3 or abs(by) < _SAME / 2)
            open_ = abs(errors) < 3 and not same  # Too few positives to say.
            yield Answer(
                "how much lower positives lie by risk than before", by, "of 1", 2.5 if same else 0.0 if open_ else -3.5,
                same and abs(z) > 3 and not far, inquiry.command,
            )  # fmt: skip
            apart = moved_values(inquiry, found)
            yield Answer(
                "distance of the values of positives from those of before", apart, "Kolmogorov-Smirnov",
                1.0 if apart < 0.2 else -2.5, False, inquiry.command,
            )  # fmt: skip
            odd, old = at_maturity(inquiry, found), of_old_events(inquiry, found)
            yield Answer("positives known only when negatives are", odd, "share", -3.0 if odd > 0.3 else 0.0)
            yield Answer(
                "rise of positives among events from before the onset", old, "share", -2.0 if old > 0.03 else 0.0
            )
        else:
            inquiry.not_checked["positives since the onset: too few are known yet"] = None
        yield from self._by_risk(inquiry, z)

    def _by_risk(self, inquiry: Inquiry, z: float) -> Iterator[Answer]:
        """Positives that risks expect, before outcomes say it: more of the same kind, and inputs as ever.

        z : of the positives that are known
        """
        expected = expected_by_risk(inquiry)
        if expected is None:
            return
        apart, chance, _ = most_moved(inquiry)
        inputs = [one for one in inquiry.signals(Kind.DISTRIBUTION) if one.series.node.startswith(_INPUTS)]
        if inputs:
            return  # Risks follow what moved there, whatever it is.
        rose = abs(expected.z) > _RISE_Z and not 1 / _RISE < expected.times < _RISE and apart < chance + 0.02
        against = z * expected.z < 0 and abs(z) > 3
        yield Answer(
            "positives that the risks of a day expect, against before", expected.times, "times",
            3.0 if rose and not against else -0.5, rose and not against, inquiry.command,
        )  # fmt: skip

    def about(self, inquiry: Inquiry, node: str) -> Mapping[str, Any]:
        """The shift of the log-odds that fits as many positives."""
        found, expected = outcomes_of(inquiry), expected_by_risk(inquiry)
        times, z = times_of(inquiry, found) if enough(found) else (1.0, 0.0)
        if abs(z) <= 3 and expected is not None:
            times = expected.times
        times = min(max(times, 1 / _MOST), _MOST)
        return {"shift": round(log(times), 4), "scale": 1.0}


def times_of(inquiry: Inquiry, found: Outcomes) -> tuple[float, float]:
    """How many times as many positives a day there are as before, and by how many standard errors.

    By when they happened, where enough are known: by when they became known, a rise shows days later.
    """
    of = happened(inquiry)
    return (found.times, found.rise_z) if of is None else (of.times, of.z)
