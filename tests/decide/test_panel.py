import subprocess
import sys

import numpy as np
import pytest

from homeostat.checks.stand_ins import FunctionScorer, ScriptedClock
from homeostat.decide.panel import Panel, Seat
from homeostat.records.features import Features
from homeostat.records.reasons import Fallback


def features(n):
    return Features(("a",), np.linspace(0, 1, n)[:, None], np.zeros((n, 1), np.uint8))


def test_scorers_answer_in_their_columns():
    seats = [Seat(FunctionScorer("x", lambda v: v[:, 0])), Seat(FunctionScorer("y", lambda v: 1 - v[:, 0]))]
    panel = Panel(seats, None)
    scores = panel.score(features(3))
    assert scores.names == ("x", "y") and scores.values.tolist() == [[0, 1], [0.5, 0.5], [1, 0]]
    assert not scores.fallback.any() and (scores.confidence == 1).all()


def test_a_panel_without_scorers_misses_none():
    assert Panel([], None).score(features(2)).fallback.tolist() == [0, 0]


def test_no_rows_are_no_trouble():
    seat = Seat(FunctionScorer("x", lambda v: v[:, 0]))
    scores = Panel([seat], ScriptedClock()).score(features(0))
    assert scores.values.shape == (0, 1) and seat.counts == {}


def test_isolated_scorers_work_at_the_same_time_and_their_deadlines_begin_together():
    clock = ScriptedClock()

    def slow(values):
        clock.advance(5000)
        return values[:, 0]

    done = Seat(FunctionScorer("done", lambda v: v[:, 0]), deadline_ns=10**12, isolated=True)
    panel = Panel([Seat(FunctionScorer("slow", slow)), done], clock)
    assert panel.score(features(2)).fallback.tolist() == [0, 0]
    done.deadline_ns = 1000  # It answers in time, whenever it is that someone looks.
    started = panel._start(features(2), 0)[1]
    started.result(10)
    clock.advance(5000)
    assert panel._wait(done, started, 0, 2)[0].tolist() == [0.0, 1.0]
    panel.close()


def test_a_scorer_that_exits_in_its_thread_has_failed_and_takes_nothing_down():
    def leaves(values):
        raise SystemExit(1)

    seat = Seat(FunctionScorer("x", leaves), isolated=True)
    panel = Panel([seat], ScriptedClock())
    assert panel.score(features(1)).fallback.tolist() == [Fallback.SCORER_FAILED | Fallback.SCORERS_ABSENT]
    panel.close()


def test_some_bad_rows_among_good_ones_never_open_the_circuit():
    seat = Seat(FunctionScorer("x", lambda v: np.where(v[:, 0] > 0.9, np.nan, v[:, 0])))
    panel = Panel([seat], ScriptedClock())
    for _ in range(10):
        bits = panel.score(features(3)).fallback.tolist()
    assert bits == [0, 0, Fallback.SCORER_FAILED | Fallback.SCORERS_ABSENT] and seat.open_until_ns == 0


@pytest.mark.long
def test_a_hanging_scorer_does_not_keep_the_process_from_ending():
    program = """
import threading, numpy as np
from homeostat.checks.stand_ins import FunctionScorer, ScriptedClock
from homeostat.decide.panel import Panel, Seat
from homeostat.records.features import Features
hangs = FunctionScorer("hangs", lambda values: threading.Event().wait())
panel = Panel([Seat(hangs, deadline_ns=1000, isolated=True)], ScriptedClock())
print(panel.score(Features(("a",), np.zeros((1, 1)), np.zeros((1, 1), np.uint8))).fallback[0])
panel.close()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True)
    assert ended.stdout.strip() == str(Fallback.SCORER_LATE | Fallback.SCORERS_ABSENT)


def test_a_scorer_that_is_left_aside_stays_so_when_others_take_the_seats():
    names = ("one", "two")
    made = [{name: FunctionScorer(name, lambda f, v=v: np.full(len(f), v)) for name in names} for v in (0.2, 0.4)]
    panel = Panel([Seat(one) for one in made[0].values()], ScriptedClock())
    panel.leave_aside(["two"])
    values = panel.seating(made[1]).score(features(3)).values
    assert values[:, 0].tolist() == [0.4] * 3 and np.isnan(values[:, 1]).all()
