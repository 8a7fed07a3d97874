"""A first start tries all stages but the windows while another process compiles those."""

from contextlib import contextmanager

import pytest
from tests.support.worlds import events_file

from homeostat.adapters.process.clock import SystemClock
from homeostat.app import brain
from homeostat.decide.windows import first_start
from homeostat.decide.windows.engine import Windows
from homeostat.engine import readiness
from homeostat.engine.assembly import bundle_of, prepare
from homeostat.jobs import replay


@pytest.fixture(scope="module")
def parts():
    prepared = prepare("payments")
    return prepared.app, prepared.features, bundle_of(prepared, None)


@pytest.fixture
def story(monkeypatch):
    """The steps of a first start, in their order; no process is started."""
    steps = []

    @contextmanager
    def beside(module, lock):
        steps.append(module)
        yield lambda: steps.append("waited")

    monkeypatch.setattr(readiness, "compiling_beside", beside)
    monkeypatch.setattr(Windows, "advance", lambda *given, **named: pytest.fail("the windows' kernel was called"))
    return steps


def start(parts, steps):
    app, features, bundle = parts

    def make():
        steps.append("tried")
        return brain(app, features, bundle)

    readiness.compile_first(app, features, make, SystemClock())


def test_a_first_start_tries_the_other_stages_before_it_waits_for_the_windows(parts, story, monkeypatch):
    monkeypatch.setattr(first_start, "is_ready", lambda: False)
    start(parts, story)
    assert story == ["homeostat.engine.compile_windows", "tried", "waited"]


def test_the_lock_of_a_first_start_lies_beside_the_machine_code(parts, monkeypatch):
    places = []

    @contextmanager
    def beside(module, lock):
        places.append(lock)
        yield None

    monkeypatch.setattr(readiness, "compiling_beside", beside)
    monkeypatch.setattr(first_start, "is_ready", lambda: False)
    start(parts, [])
    (lock,) = places
    assert lock.parent.is_dir() and any(lock.parent.glob("rows.advance*.nbi"))


def test_a_later_start_needs_no_other_process(parts, story, monkeypatch):
    monkeypatch.setattr(first_start, "is_ready", lambda: True)
    start(parts, story)
    assert story == []


def test_where_no_other_process_can_run_nothing_is_tried_ahead(parts, story, monkeypatch):
    @contextmanager
    def alone(module, lock):
        yield None

    monkeypatch.setattr(first_start, "is_ready", lambda: False)
    monkeypatch.setattr(readiness, "compiling_beside", alone)
    start(parts, story)
    assert story == []


class Begun(Exception):
    """A replay has come to its events."""


def test_a_first_start_that_trains_tries_nothing_ahead(story, monkeypatch, tmp_path):
    def begun(*_):
        raise Begun

    monkeypatch.setattr(first_start, "is_ready", lambda: False)
    monkeypatch.setattr(replay, "Replay", begun)
    with pytest.raises(Begun):
        replay.replay_events("payments", replay.Request(events_file(), tmp_path / "out", train_until_ns=1), print)
    assert story == []
