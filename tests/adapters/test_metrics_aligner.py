"""The aligner: each step of an entity comes out once, whole and in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeostat.adapters.metrics.aligner import Aligner, Step

MEASURED = st.lists(st.tuples(st.sampled_from("ab"), st.integers(-50, 200), st.sampled_from("xyz")), max_size=60)


@given(MEASURED, st.integers(1, 20), st.integers(0, 30))
def test_every_measurement_is_in_its_step_or_counted_as_late(measured, step_ns, lateness_ns):
    aligner, out, kept, newest = Aligner(step_ns, lateness_ns), [], {}, {}
    late = 0
    for n, (entity, time_ns, metric) in enumerate(measured):
        start = time_ns // step_ns * step_ns
        if entity in newest and start + step_ns <= newest[entity] - lateness_ns:
            late += 1
        else:
            kept.setdefault((entity, start), {})[metric] = float(n)
            newest[entity] = max(newest.get(entity, time_ns), time_ns)
        out += aligner.add(entity, time_ns, {metric: float(n)})
    out += aligner.end_all()
    assert aligner.late == late
    assert {(s.entity, s.time_ns): s.values for s in out} == kept
    assert len(out) == len(kept)
    for entity in "ab":
        times = [s.time_ns for s in out if s.entity == entity]
        assert times == sorted(times)


def test_a_fast_clock_of_one_host_closes_no_step_of_another():
    aligner = Aligner(10, 0)
    aligner.add("slow", 1, {"cpu": 1.0})
    aligner.add("fast", 10**6, {"cpu": 1.0})
    assert aligner.add("slow", 2, {"memory": 2.0}) == []
    assert aligner.end("slow") == [Step("slow", 0, {"cpu": 1.0, "memory": 2.0})]


def test_the_entity_that_is_quiet_longest_makes_room():
    aligner = Aligner(10, 0, entities_max=2)
    aligner.add("a", 1, {"cpu": 1.0})
    aligner.add("b", 1, {"cpu": 2.0})
    aligner.add("a", 2, {"cpu": 3.0})
    assert aligner.add("c", 1, {"cpu": 4.0}) == [Step("b", 0, {"cpu": 2.0})]


def test_a_clock_closes_the_steps_that_it_has_passed_and_their_lines_are_late_from_then_on():
    aligner = Aligner(10, 5)
    aligner.add("a", 3, {"cpu": 1.0})
    aligner.add("a", 14, {"cpu": 2.0})
    assert aligner.close("a", 19) == [Step("a", 0, {"cpu": 1.0})]
    assert (aligner.is_open("a"), aligner.open_steps) == (True, 1)
    assert aligner.close("a", 20) == [Step("a", 10, {"cpu": 2.0})]
    assert not aligner.is_open("a")
    assert (aligner.add("a", 15, {"cpu": 3.0}), aligner.late) == ([], 1)
    assert aligner.close("nobody", 20) == []


def test_lengths_that_make_no_steps_are_refused():
    with pytest.raises(ValueError, match="have to be positive"):
        Aligner(0, 0)


def test_what_a_sender_kept_while_it_was_held_up_is_not_late_after_the_clock_closed_a_step():
    aligner = Aligner(step_ns=10, lateness_ns=5)
    aligner.add("a", 3, {"cpu": 1.0})
    assert [step.time_ns for step in aligner.close("a", 1000)] == [0]
    assert aligner.close("a", 2000) == []
    came = [step.time_ns for at in range(10, 100, 10) for step in aligner.add("a", at, {"cpu": float(at)})]
    assert came == list(range(10, 80, 10)) and aligner.late == 0
    assert aligner.add("a", 4, {"cpu": 2.0}) == [] and aligner.late == 1
