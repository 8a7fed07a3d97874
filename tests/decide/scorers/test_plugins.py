"""Plug-in scorers are found by entry point, and a fault of one is reported."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import warnings
from importlib.metadata import EntryPoint
from threading import Event
from typing import ClassVar

import numpy as np
import pytest

from homeostat.checks.stand_ins import ScriptedClock
from homeostat.decide.panel import Panel, Seat
from homeostat.decide.scorers.plugins import GROUP, PluginError, PluginFailure, plugin_scorer
from homeostat.records.features import Features
from homeostat.records.reasons import Fallback, Reason


class Constant:
    def __init__(self, name, value):
        self.name, self.value = name, value

    def score(self, features):
        return np.full(len(features), self.value), np.ones(len(features))


def make_constant(name, settings, features):
    assert features == ("a", "b")
    return Constant(name, settings["value"])


def make_nothing(name, settings, features):
    return None


HERE = __name__


def point(name, function):
    return EntryPoint(name, f"{HERE}:{function}", GROUP)


def test_a_plug_in_is_made_with_its_settings_and_features():
    scorer = plugin_scorer("constant", "mine", {"value": 0.25}, ["a", "b"], [point("constant", "make_constant")])
    assert scorer.name == "mine"
    assert scorer.score(Features(("a", "b"), np.zeros((3, 2)), np.zeros((3, 2), np.uint8)))[0].tolist() == [0.25] * 3


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "no plug-in offers the kind 'constant'; install"),
        ([point("constants", "make_constant")], "did you mean 'constants'"),
        ([point("constant", "make_constant"), point("constant", "make_nothing")], "offered twice"),
        ([point("constant", "make_nothing")], "did not return a scorer"),
        ([point("constant", "gone")], "failed: AttributeError"),
        ([EntryPoint("constant", "no_such_package:make", GROUP)], "failed: ModuleNotFoundError"),
    ],
)
def test_a_plug_in_that_can_not_be_had_is_refused_with_a_sentence(found, message):
    with pytest.raises(PluginError, match=message):
        plugin_scorer("constant", "mine", {"value": 0.25}, ["a", "b"], found)


def test_installed_entry_points_are_asked_by_default():
    with pytest.raises(PluginError, match="no plug-in offers"):
        plugin_scorer("surely_not_installed", "mine", {}, ["a"])


# Tricks that a stranger's code may try.


def asked(function, name="x", features=("a", "b")):
    """A plug-in scorer that answers by a function of its features."""
    made = type("Made", (), {"name": name, "score": lambda self, seen: function(seen)})()
    sys.modules[HERE].make_made = lambda *_: made
    return plugin_scorer("made", name, {}, list(features), [point("made", "make_made")])


def some(n=4):
    return Features(("a", "b"), np.arange(2.0 * n).reshape(n, 2), np.zeros((n, 2), np.uint8))


def halves(seen):
    return np.full(len(seen), 0.5), np.ones(len(seen))


def writes(seen):
    seen.values[:] = 0


def turns_the_flag(seen):
    seen.values.setflags(write=True)


def turns_the_flag_of_its_base(seen):
    array = seen.values
    while isinstance(array.base, np.ndarray):
        array = array.base
        array.setflags(write=True)
    np.asarray(array.base)[:] = 0


def writes_the_freshness(seen):
    seen.freshness[:] = 2


def shifts_a_view(seen):
    np.lib.stride_tricks.as_strided(seen.values, writeable=True)[:] = 0


def writes_through_the_buffer(seen):
    memoryview(seen.values).cast("B")[0] = 1


def writes_in_place(seen):
    np.multiply(seen.values, 0, out=seen.values)


@pytest.mark.parametrize(
    "attempt",
    [writes, turns_the_flag, turns_the_flag_of_its_base, writes_the_freshness, shifts_a_view,
     writes_through_the_buffer, writes_in_place],
    ids=lambda attempt: attempt.__name__,
)  # fmt: skip
def test_no_plug_in_can_write_into_the_features(attempt):
    features = some()
    before = features.values.tobytes(), features.freshness.tobytes()

    def tries(seen):
        attempt(seen)
        return halves(seen)

    with pytest.raises(PluginFailure):
        asked(tries).score(features)
    assert (features.values.tobytes(), features.freshness.tobytes()) == before


def test_what_a_plug_in_puts_in_place_of_its_features_is_seen_by_nobody_else():
    features = some()

    def replaces(seen):
        object.__setattr__(seen, "values", np.zeros((len(seen.freshness), 2)))
        ctypes.memset(seen.freshness.ctypes.data, 2, seen.freshness.nbytes)  # Nothing can stop this one.
        return np.full(4, 0.5), np.ones(4)

    before = features.values.tobytes(), features.freshness.tobytes()
    assert asked(replaces).score(features)[0].tolist() == [0.5] * 4
    assert (features.values.tobytes(), features.freshness.tobytes()) == before


def test_what_a_plug_in_returned_is_no_longer_its_own():
    kept = np.full(4, 0.5), np.ones(4)
    values, confidence = asked(lambda seen: kept).score(some())
    kept[0][:] = 0.9
    kept[1][:] = 0.0
    assert values.tolist() == [0.5] * 4 and confidence.tolist() == [1.0] * 4


class Sneaky(np.ndarray):
    """An array that counts who makes arrays of it."""

    made: ClassVar[list] = []

    def __array_finalize__(self, other):
        Sneaky.made.append(self)


class Converts:
    def __array__(self, dtype=None, copy=None):
        Converts.kept = np.full(4, 0.25)
        return Converts.kept


def test_arrays_of_other_classes_become_plain_ones_that_nobody_else_has():
    values, confidence = asked(lambda seen: (np.full(4, 0.5).view(Sneaky), Converts())).score(some())
    for array in Sneaky.made:
        array.setflags(write=True)
        array[...] = 7.0
    Converts.kept[:] = 7.0
    assert type(values) is np.ndarray and values.tolist() == [0.5] * 4 and confidence.tolist() == [0.25] * 4


@pytest.mark.parametrize(
    "answer",
    [
        None, 1, "xy", (), (np.ones(4),), (np.ones(4), np.ones(4), np.ones(4)), (np.ones(3), np.ones(4)),
        (np.ones((4, 1)), np.ones(4)), (["a"] * 4, np.ones(4)), ({1: 2}, np.ones(4)), (object(), object()),
        (np.broadcast_to(np.float64(1), (10**12,)), np.ones(4)), (np.ones(4, complex) * 1j, np.ones(4)),
        iter([np.ones(4), np.ones(4)]), (np.array([object()] * 4), np.ones(4)),
    ],
    ids=lambda answer: type(answer).__name__,
)  # fmt: skip
def test_what_is_no_answer_is_a_failure_with_a_sentence(answer):
    with pytest.raises(PluginFailure, match=r"Error|Warning"):
        asked(lambda seen: answer).score(some())


class Unsayable(Exception):
    def __str__(self):
        raise SystemExit(3)


class OfItsOwn(BaseException):
    pass


@pytest.mark.parametrize(
    "error",
    [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), OfItsOwn("x"), Unsayable(), RecursionError(), MemoryError()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
@pytest.mark.parametrize("isolated", [True, False])
def test_a_plug_in_that_tries_to_end_the_process_has_failed(error, isolated):
    def raises(seen):
        raise error

    heard = []
    seat = Seat(asked(raises), isolated=isolated)
    panel = Panel([seat], ScriptedClock(), lambda name, what: heard.append(f"{name}: {what}"))
    assert panel.score(some(1)).fallback.tolist() == [Fallback.SCORER_FAILED | Fallback.SCORERS_ABSENT]
    assert seat.counts == {Reason.SCORER_FAILED: 1} and len(heard) == 1
    panel.close()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, OfItsOwn])
def test_a_factory_that_tries_to_end_the_process_is_refused_with_a_sentence(error):
    def make(*_):
        raise error("leave")

    sys.modules[HERE].make_raising = make
    with pytest.raises(PluginError, match=f"failed: {error.__name__}: leave"):
        plugin_scorer("raising", "mine", {}, ["a"], [point("raising", "make_raising")])


def test_what_a_package_sets_for_the_process_while_it_is_imported_is_undone(tmp_path):
    def make(name, settings, features):
        warnings.simplefilter("error")
        os.chdir(tmp_path)
        np.seterr(all="raise")
        gc.disable()
        return type("Made", (), {"name": name, "score": lambda self, seen: halves(seen)})()

    sys.modules[HERE].make_setting = make
    before = list(warnings.filters), os.getcwd(), np.geterr(), gc.isenabled()
    plugin_scorer("setting", "mine", {}, ["a"], [point("setting", "make_setting")])
    assert (list(warnings.filters), os.getcwd(), np.geterr(), gc.isenabled()) == before


@pytest.mark.parametrize("isolated", [True, False])
def test_the_error_state_of_numpy_is_not_a_plug_ins_to_set(isolated):
    def sets(seen):
        np.seterr(all="raise")
        return halves(seen)

    before = np.geterr()
    panel = Panel([Seat(asked(sets), isolated=isolated)], ScriptedClock())
    assert panel.score(some(2)).fallback.tolist() == [0, 0] and np.geterr() == before
    panel.close()


# Hanging.


@pytest.fixture
def gate():
    opened = Event()
    yield opened
    opened.set()  # So that no thread outlives its test.


def test_a_plug_in_that_hangs_while_it_is_made_holds_nobody_up_and_joins_when_it_is_ready(gate):
    def make(name, settings, features):
        gate.wait()
        return type("Made", (), {"name": name, "score": lambda self, seen: halves(seen)})()

    sys.modules[HERE].make_hanging = make
    scorer = plugin_scorer("hanging", "mine", {}, ["a"], [point("hanging", "make_hanging")], start_ns=1)
    heard = []
    seat = Seat(scorer, deadline_ns=10**9, isolated=True)
    panel = Panel([seat], ScriptedClock(), lambda name, what: heard.append(f"{name}: {what}"))
    for _ in range(2):
        assert panel.score(some(1)).fallback.tolist() == [Fallback.SCORER_LATE | Fallback.SCORERS_ABSENT]
    assert panel.out() == {"mine": "it is not ready yet"} and seat.counts == {Reason.SCORER_LATE: 2}
    assert heard == ["mine: it is not ready yet; decisions go on without it until it has"]
    gate.set()
    scorer.made.result(10)
    assert panel.score(some(1)).values.tolist() == [[0.5]] and panel.out() == {}
    panel.close()


@pytest.mark.parametrize("bounded", [True, False])
def test_a_plug_in_that_hangs_later_is_out_counted_and_said_once(gate, bounded):
    def hangs(seen):
        gate.wait()
        return halves(seen)

    heard = []
    seat = Seat(asked(hangs), deadline_ns=1, isolated=True)
    panel = Panel([seat], ScriptedClock() if bounded else None, lambda *what: heard.append(what), patience_s=1e-3)
    for _ in range(5):
        assert panel.score(some(1)).fallback.tolist() == [Fallback.SCORER_LATE | Fallback.SCORERS_ABSENT]
    assert seat.counts == {Reason.SCORER_LATE: 5} and len(heard) == 1 and "not answered within" in panel.out()["x"]
    assert np.isnan(panel.score_again(some(1), [False]).values).all()
    assert panel.contributions(0, some(1)) is None
    gate.set()
    seat.aside.last.result(10)
    panel._patience_s, seat.deadline_ns = None, 10**12
    assert panel.score(some(1)).values.tolist() == [[0.5]] and panel.out() == {}
    panel.close()


def test_contributions_of_a_plug_in_that_fails_are_none():
    class Made:
        name = "x"

        def score(self, seen):
            return halves(seen)

        def contributions(self, seen):
            seen.values[:] = 0

    sys.modules[HERE].make_contributing = lambda *_: Made()
    scorer = plugin_scorer("contributing", "x", {}, ["a", "b"], [point("contributing", "make_contributing")])
    panel = Panel([Seat(scorer, isolated=True)], ScriptedClock())
    assert panel.contributions(0, some(1)) is None
    Made.contributions = lambda self, seen: (seen.values * 2, 1.0)
    assert panel.contributions(0, some(1)).tolist() == [[0.0, 2.0]]
    panel.close()


def test_who_asks_a_plug_in_without_a_panel_learns_that_it_hangs(gate, monkeypatch):
    monkeypatch.setattr("homeostat.decide.scorers.plugins._HANG_S", 1e-3)
    scorer = asked(lambda seen: gate.wait() and halves(seen))
    with pytest.raises(PluginError, match="has not answered for"):
        scorer.score(some(0))
    with pytest.raises(PluginError, match="still works on something else, or hangs"):
        scorer.contributions(some(0))
