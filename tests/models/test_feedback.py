"""The quality of feedback: sources that were right before, outcomes, and what others say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.models import feedback
from homeostat.models.feedback import Known, scored, trend_of
from homeostat.records.statements import Statement, StatementKind


def said(number, value, source="desk", about="e1", topic="label", at_ns=None):
    at = number if at_ns is None else at_ns
    return Statement(StatementKind.FEEDBACK, "decision", about, topic, value, source, "key", number=number, at_ns=at)


def test_a_source_that_was_right_is_believed_more_and_one_that_was_wrong_less():
    given = [said(k, k % 2 == 0, about=f"e{k}", source=("right", "wrong")[k % 2]) for k in range(1, 9)]
    found = scored([*given, said(9, True, "right", "new"), said(10, True, "wrong", "other")],
                   {k: Known(1.0, harsh=False) for k in range(1, 9)})  # fmt: skip
    assert [one.history for one in found[-2:]] == [5 / 6, 1 / 6]
    assert [one.quality for one in found[-2:]] == [5 / 6, 1 / 6]
    assert all(one.agrees_outcome is (one.statement.source == "right") for one in found[:8])


def test_a_later_outcome_does_not_count_in_the_history_of_earlier_feedback():
    first, second = scored([said(1, True), said(2, True, about="e2")], {1: Known(0.0), 2: Known(1.0)})
    assert (first.history, second.history) == (0.5, 1 / 3)


@pytest.mark.parametrize(
    ("value", "others", "alike"),
    [(4.0, [4.2, 2.0], 0.5), ("late", ["late"], 1.0), (True, [], None), (None, [True], None), (1.0, [None], None)],
)
def test_agreement_with_others_is_the_share_that_says_the_same(value, others, alike):
    given = [said(1, value, topic="rating")]
    given += [said(k + 2, other, f"s{k}", topic="rating") for k, other in enumerate(others)]
    assert scored(given, {})[0].agrees_others == alike


def test_feedback_that_speaks_against_the_action_comes_first():
    missed, right = scored([said(1, True), said(2, True, about="e2", source="app")],
                           {1: Known(None, harsh=False), 2: Known(None, harsh=True)})  # fmt: skip
    assert missed.priority == 2 * right.priority


@pytest.mark.long
@given(st.lists(st.integers(0, 10**6), max_size=50))
def test_a_trend_says_the_opposite_of_time_run_backwards(times):
    back = {"rising": "falling", "falling": "rising", "steady": "steady"}
    mirrored = [max(times, default=0) + min(times, default=0) - time for time in times]
    middle = (max(times, default=0) + min(times, default=0)) / 2
    if middle not in times:
        assert trend_of(mirrored) == back[trend_of(times)]


values = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)


@pytest.mark.long
@given(st.lists(st.tuples(values, st.sampled_from("abc"), st.sampled_from(["label", "rating"]))), st.data())
def test_quality_and_priority_are_shares(rows, data):
    known = {k: Known(data.draw(st.sampled_from([None, 0.0, 1.0])), harsh=data.draw(st.booleans()))
             for k in range(1, len(rows) + 1)}  # fmt: skip
    found = scored([said(k + 1, v, s, f"e{k % 3}", t) for k, (v, s, t) in enumerate(rows)], known)
    assert len(found) == len(rows)
    assert all(0 <= one.priority <= one.quality <= 1 and 0 < one.history < 1 for one in found)


@given(st.lists(st.tuples(values | st.sampled_from([0.0, 0.9, 1.0, 1.1, 1.2]), st.sampled_from("abcd"))))
def test_agreement_equals_its_naive_twin(rows):
    given = [said(k + 1, value, source) for k, (value, source) in enumerate(rows)]
    last = {one.source: one.value for one in given}
    for one in scored(given, {}):
        mine = one.statement
        theirs = [value for source, value in last.items() if source != mine.source and value is not None]
        alike = sum(feedback._alike(mine.value, value) for value in theirs)
        assert one.agrees_others == (None if mine.value is None or not theirs else alike / len(theirs))


def test_many_sources_about_one_version_are_not_compared_pair_by_pair(monkeypatch):
    calls, alike = [0], feedback._alike

    def counted(one, other):
        calls[0] += 1
        return alike(one, other)

    monkeypatch.setattr(feedback, "_alike", counted)
    found = scored([said(k + 1, float(k % 97), f"s{k}", "v1", f"kind{k % 2}") for k in range(2000)], {})
    assert len(found) == 2000 and calls[0] < 2000 * 40
