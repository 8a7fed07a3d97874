"""One call a value, one an array, and a restart give the same alarms; impossible values are named."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import homeostat
from homeostat import DetectionError, Detector, detect

KINDS = ("error", "number")


def stream(kind, seed, n=900):
    rng = np.random.default_rng(seed)
    if kind == "error":
        return (rng.random(n) < np.where(np.arange(n) % 300 < 200, 0.05, 0.8)) * 1.0
    return rng.normal(size=n) + np.where(np.arange(n) % 300 < 200, 0.0, 4.0)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 2**32), st.lists(st.integers(0, 900), max_size=8), st.booleans())
def test_any_batches_and_restarts_give_the_same_alarms(kind, seed, cuts, restarts):
    values = stream(kind, seed)
    values[seed % 900] = np.nan
    whole = Detector(kind, false_alarms_per=1000)
    expected = whole.add_all(values)
    detector, found = Detector(kind, false_alarms_per=1000), []
    for part in np.split(values, sorted(cuts)):
        found += detector.add_all(part)
        if restarts:
            state = detector.state()
            detector = Detector(kind, false_alarms_per=1000)
            detector.restore(state)
    assert found == expected and detector.rows == 900
    ours, theirs = whole.state(), detector.state()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("kind", KINDS)
def test_one_by_one_gives_the_same_alarms(kind):
    values = stream(kind, 1)
    one_by_one = Detector(kind, false_alarms_per=1000)
    found = [alarm for value in values if (alarm := one_by_one.add(float(value))) is not None]
    assert found == Detector(kind, false_alarms_per=1000).add_all(values) and len(found) >= 3
    assert found == detect(iter(values.tolist()), kind=kind, false_alarms_per=1000)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [[], [0.5], [math.nan], [math.nan] * 500, [0.0] * 500, [1.0] * 500, [0, 1] * 300])
def test_poor_streams_raise_nothing(kind, values):
    assert detect(values, kind=kind) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [math.inf, -math.inf, 1e200])
def test_an_impossible_value_is_named_and_not_taken_in(kind, bad):
    detector = Detector(kind)
    with pytest.raises(DetectionError, match="row 2:"):
        detector.add_all([0.0, 1.0, bad, 1.0])
    assert detector.rows == 2
    with pytest.raises(DetectionError, match="row 2:"):
        detector.add(bad)
    assert detector.add(0.5) is None and detector.rows == 3


def test_text_shapes_and_options_are_refused_in_words():
    with pytest.raises(DetectionError, match="not all numbers"):
        detect(["a"], kind="number")
    with pytest.raises(DetectionError, match="2 dimensions"):
        detect(np.zeros((2, 2)), kind="number")
    with pytest.raises(DetectionError, match="error or number"):
        Detector("mean")  # type: ignore[arg-type]
    for per in (0, 99, math.nan, math.inf, -1):
        with pytest.raises(DetectionError, match="choose from 100"):
            Detector(false_alarms_per=per)


def test_a_stream_without_a_kind_shows_it_by_its_first_values():
    values = stream("error", 3)
    assert detect(values) == detect(values, kind="error")
    values = stream("number", 3)
    assert detect(values) == detect(values, kind="number")
    assert detect([1.0] * 64 + [0.5] * 10) == []
    assert detect(iter([None, 0.0, 1.0])) == []


def test_alarms_are_plain_json_and_the_names_are_exported():
    (found, *_) = detect(stream("error", 4), false_alarms_per=1000)
    assert json.loads(json.dumps(found.as_dict())).keys() == {"row", "since", "before", "after", "change"}
    assert homeostat.detect is detect and homeostat.Detector is Detector and isinstance(found, homeostat.Alarm)


def test_detection_starts_afresh_after_an_alarm():
    values = stream("error", 5)
    first = detect(values, kind="error", false_alarms_per=1000)[0]
    rest = detect(values[first.row + 1 :], kind="error", false_alarms_per=1000)
    whole = detect(values, kind="error", false_alarms_per=1000)
    assert [one.row for one in whole[1:]] == [one.row + first.row + 1 for one in rest]
