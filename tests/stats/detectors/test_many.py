"""Many series at once are each as a detector alone."""

from __future__ import annotations

import numpy as np

from homeostat.stats.detectors.detector import Detector
from homeostat.stats.detectors.many import ManyRises

PER = np.array([1e3, 1e4, 1e3, 1e9])


def streams(rows=800):
    rng = np.random.default_rng(1)
    values = (rng.random((rows, 4)) < np.where(np.arange(rows)[:, None] < 500, 0.1, 0.8)) * 1.0
    values[rng.random((rows, 4)) < 0.05] = np.nan
    return values


def test_each_series_is_as_a_detector_alone():
    values, many = streams(), ManyRises(PER)
    alone = [Detector(false_alarms_per=float(per)) for per in PER]
    found = 0
    for row in values:
        passed = many.add(row)
        since = many.since()
        for k, detector in enumerate(alone):
            alarm = detector.add(float(row[k]))
            assert passed[k] == (alarm is not None)
            assert alarm is None or alarm.since == since[k]
        many.reset(np.flatnonzero(passed))
        found += int(passed.sum())
    assert found >= 4


def test_a_restart_continues_bit_for_bit():
    values, whole, cut = streams(), ManyRises(PER), ManyRises(PER)
    for number, row in enumerate(values):
        whole.add(row)
        if number == 300:
            state = cut.state()
            cut = ManyRises(PER)
            cut.restore(state)
        cut.add(row)
    assert np.array_equal(whole.evidence(), cut.evidence()) and whole.rows == cut.rows == len(values)
