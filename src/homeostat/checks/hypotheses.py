"""The contract of every hypothesis of an investigation.

A plug-in's author calls each check with a way to build the hypothesis, and inquiries of an app that it fits: one of a
case that it explains, at `node`, and one of quiet traffic::

    @pytest.mark.parametrize("check", HYPOTHESIS_CHECKS, ids=lambda check: check.__name__)
    def test_my_hypothesis(check):
        check(MyHypothesis, lambda: inquiry_of_its_case(), lambda: inquiry_of_quiet_traffic(), "source")

`homeostat.checks.inquiries` makes such inquiries. Each check asserts; none needs pytest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite

from homeostat.maintain.investigate.hypothesis import Hypothesis
from homeostat.maintain.investigate.inquiry import Inquiry

Builds = Callable[[], Hypothesis]
Asks = Callable[[], Inquiry]
_WEIGHT_MAX = 6.0


def it_names_a_kind_and_the_kinds_that_it_explains_away(build: Builds, case: Asks, quiet: Asks, node: str) -> None:
    """A kind, and others than itself in `beats`."""
    one = build()
    assert isinstance(one, Hypothesis), "it lacks kind, beats, places, tests or about"
    assert one.kind and str(one.kind) not in one.beats, "it explains itself away"


def it_finds_its_case(build: Builds, case: Asks, quiet: Asks, node: str) -> None:
    """Its case suggests it at the node, and a test shows it."""
    inquiry, one = case(), build()
    assert node in list(one.places(inquiry)), "its own case does not suggest it"
    answers = list(one.tests(inquiry, node))
    assert any(answer.decides for answer in answers) and sum(answer.weight for answer in answers) > 0


def it_decides_nothing_of_quiet_traffic(build: Builds, case: Asks, quiet: Asks, node: str) -> None:
    """Where nothing is wrong, no test shows it."""
    assert not any(answer.decides for answer in build().tests(quiet(), node))


def its_answers_are_sound(build: Builds, case: Asks, quiet: Asks, node: str) -> None:
    """Each answer has words, a unit and a bounded weight, and is the same when asked again; tests count as steps."""
    for ask in (case, quiet):
        inquiry, again = ask(), ask()
        answers = list(build().tests(inquiry, node))
        for answer in answers:
            assert answer.what and answer.unit, "an answer without words"
            assert isfinite(answer.weight) and abs(answer.weight) <= _WEIGHT_MAX, f"weight {answer.weight} is unbounded"
        assert not answers or inquiry.steps > 0, "its tests count as no steps"
        assert repr(answers) == repr(list(build().tests(again, node))), "it answers otherwise when asked again"


def what_it_is_about_can_be_stored(build: Builds, case: Asks, quiet: Asks, node: str) -> None:
    """`about` is plain data under words as names."""
    about = build().about(case(), node)
    assert all(isinstance(name, str) for name in about)
    json.dumps(dict(about), default=str)


HYPOTHESIS_CHECKS = (
    it_names_a_kind_and_the_kinds_that_it_explains_away, it_finds_its_case, it_decides_nothing_of_quiet_traffic,
    its_answers_are_sound, what_it_is_about_can_be_stored,
)  # fmt: skip
