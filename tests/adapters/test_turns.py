"""A short interval between threads holds for as long as any block asks for it, and the former one comes back."""

from __future__ import annotations

import sys
from contextlib import ExitStack

import pytest

from homeostat.adapters.process.turns import SHORT_S, short_turns


@pytest.fixture
def usual():
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield 0.005
    sys.setswitchinterval(before)


def test_the_former_interval_comes_back_also_after_an_error(usual: float) -> None:
    with pytest.raises(ZeroDivisionError), short_turns():
        _ = 1 / (sys.getswitchinterval() > SHORT_S / 2 and 0)
    assert sys.getswitchinterval() == pytest.approx(usual)


@pytest.mark.parametrize("first_ends_first", [True, False])
def test_blocks_of_several_threads_may_overlap(usual: float, first_ends_first: bool) -> None:
    first, second = ExitStack(), ExitStack()
    first.enter_context(short_turns())
    second.enter_context(short_turns())
    ends = (first, second) if first_ends_first else (second, first)
    ends[0].close()
    assert sys.getswitchinterval() == pytest.approx(SHORT_S)
    ends[1].close()
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_an_interval_that_is_shorter_already_stays(usual: float) -> None:
    sys.setswitchinterval(0.0001)
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(0.0001, rel=0.05)
