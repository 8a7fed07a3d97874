"""Elementary functions agree with the C library's to its last bits."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.stats.elementary import exp, log, logit, sigmoid


@settings(deadline=None)
@given(st.floats(-700, 700))
def test_exp_is_within_two_units_in_the_last_place(x):
    assert math.isclose(exp(x), math.exp(x), rel_tol=5e-16)


@settings(deadline=None)
@given(st.floats(1e-300, 1e300))
def test_log_is_within_two_units_in_the_last_place(x):
    assert math.isclose(log(x), math.log(x), rel_tol=5e-16, abs_tol=1e-300)


@settings(deadline=None)
@given(st.floats())
def test_sigmoid_stays_within_0_and_1_for_any_number(x):
    value = sigmoid(x)
    assert math.isnan(value) if math.isnan(x) else 0.0 <= value <= 1.0


@settings(deadline=None)
@given(st.floats(1e-9, 1 - 1e-9))
def test_logit_undoes_sigmoid(p):
    assert math.isclose(sigmoid(logit(p)), p, rel_tol=1e-12)


def test_edges():
    assert log(math.inf) == math.inf
    assert math.isnan(log(0.0))
    assert math.isnan(log(-1.0))
    assert math.isnan(exp(math.nan))
    assert exp(1e9) < math.inf
