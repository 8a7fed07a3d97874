"""An incident that another one explains is none of its own; a law that nobody has answered goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from homeostat.checks.inquiries import DAY, HOUR, ONSET, case, investigated, quiet, signal
from homeostat.maintain.contracts import Elsewhere
from homeostat.maintain.investigate.echoes import echo_of
from homeostat.records.findings import Conclusion
from homeostat.records.signals import Kind

LATE = signal("labels", Kind.DELAY)
COPIES = Elsewhere("source", "duplicates", ONSET - 6 * DAY, ONSET - 5 * DAY, (ONSET - 5 * DAY,), True)


def test_outcomes_of_a_fault_that_was_mended_come_in_for_as_long_as_they_take() -> None:
    found = investigated(quiet(), replace(case([LATE]), elsewhere=(COPIES,)))
    assert found.conclusion is Conclusion.NONE and "duplicates at source explains it" in found.missing[0]
    older = replace(COPIES, since_ns=ONSET - 30 * DAY, until_ns=ONSET - 29 * DAY, acts_ns=())
    assert echo_of(replace(case([LATE]), elsewhere=(older,)), 7 * DAY) == ""


def test_one_signal_that_is_not_explained_is_looked_into() -> None:
    both = case([LATE, signal("field:amount", Kind.UNIT)])
    assert echo_of(replace(both, elsewhere=(COPIES,)), 7 * DAY) == ""


@pytest.mark.parametrize(("mended", "echo"), [(True, True), (False, False)])
def test_another_law_is_no_echo_of_itself_until_it_is_answered(mended: bool, echo: bool) -> None:
    law = Elsewhere("outcome", "concept", ONSET - 2 * DAY, ONSET - DAY, (), mended)
    of = replace(case([signal("outcome", Kind.CONCEPT)]), elsewhere=(law,))
    assert bool(echo_of(of, 7 * DAY)) is echo


def test_a_remedy_shows_within_a_day_wherever_it_acts() -> None:
    shed = Elsewhere("serving", "latency", ONSET - 9 * DAY, ONSET - 9 * DAY, (ONSET - HOUR,), True)
    of = case([signal("scorer:network", Kind.DISTRIBUTION)])
    assert echo_of(replace(of, elsewhere=(shed,)), 7 * DAY)
    assert not echo_of(replace(of, elsewhere=(replace(shed, acts_ns=(ONSET - 3 * DAY,)),)), 7 * DAY)


@pytest.mark.parametrize(
    ("kind", "mended", "effect", "echo"),
    [("late", True, -0.012, True), ("clock", True, 0.03, True), ("late", False, -0.012, False),
     ("late", True, -0.2, False), ("unit", True, -0.012, False)],
)  # fmt: skip
def test_outcomes_are_a_little_older_while_a_remedy_for_late_events_stands(
    kind: str, mended: bool, effect: float, echo: bool
) -> None:
    known = Elsewhere("source", kind, ONSET - 20 * DAY, ONSET - 19 * DAY, (ONSET - 19 * DAY,), mended)
    of = replace(case([signal("labels", Kind.DELAY, effect=effect)]), elsewhere=(known,))
    assert bool(echo_of(of, 7 * DAY)) is echo
    other = replace(case([signal("labels", Kind.DELAY, effect=effect), signal("field:amount", Kind.UNIT)]))
    assert echo_of(replace(other, elsewhere=(known,)), 7 * DAY) == ""  # A second fault is looked into.
