"""A server looks at the fairness of its last decisions, in a process beside it, and says what it saw."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from homeostat import load
from homeostat.adapters.process.beside import CommandFailed, answer_until
from homeostat.adapters.process.clock import SystemClock
from homeostat.cli import main
from homeostat.engine.fair_watch import FairnessWatch
from homeostat.engine.metrics import engine_registry

APP = """
homeostat: 1
app: loans
events:
  entities: {customer: {}}
  fields: {score: {type: number}, region: {type: category}}
scorers: {large: {kind: rules, rules: [{name: large, when: score > 0.5, score: 0.9}]}}
fusion: {kind: weighted}
actions: [grant, refuse]
costs: {grant: {positive: 10, negative: 0}, refuse: {positive: 0, negative: 2}}
guards: {fallback: {scorers_absent: grant}}
fairness: {groups: region, every: 1m, bounds: [
  {measure: selection_rate, difference_max: 0.1}, {measure: true_positive_rate, difference_max: 0.1}]}
"""


@pytest.fixture
def world(tmp_path: Path):
    """A data folder in which one region is refused and the other is not; and the app file."""
    app = tmp_path / "loans.yaml"
    app.write_text(APP)
    events = [
        {"event_id": i, "time": 1_767_225_600 + i, "customer": i, "score": 0.9 * (i % 2), "region": ("a", "b")[i % 2]}
        for i in range(200)
    ]
    with load(app, data=tmp_path / "data") as engine:
        engine.decide(events)
    return app, tmp_path / "data"


@pytest.mark.long
def test_it_shows_each_bound_that_is_broken_or_open(world) -> None:
    app, data = world
    watch = FairnessWatch([f"--app={app}", f"--data={data}"], 3600.0, SystemClock())
    assert watch.notes() == ["fairness was not looked at yet"] and watch.readings() == {}
    watch.look()
    broken, unsure = watch.notes()
    assert broken.startswith("fairness is FAIL: the difference of selection rate between a and b lies outside")
    assert unsure.startswith("fairness is INCONCLUSIVE: not enough data")
    readings = watch.readings()
    assert readings["homeostat_fairness_verdict"] == {"selection_rate": -1.0, "true_positive_rate": 0.0}
    assert readings["homeostat_fairness_difference"] == {"selection_rate": 1.0}
    with load(app) as engine:
        engine.parts.fairness = watch
        assert broken in engine.notes()
        labels = {"app": "loans", "measure": "selection_rate"}
        assert engine_registry(engine).get_sample_value("homeostat_fairness_verdict", labels) == -1.0


def test_it_looks_again_and_again_and_keeps_what_it_saw_when_a_look_fails(tmp_path: Path) -> None:
    bounds = '{"bounds": [{"measure": "selection_rate", "verdict": "PASS", "difference": null, "why": "x"}]}'
    flag, turns = tmp_path / "flag", threading.Semaphore(0)
    program = [sys.executable, "-c", f"import os, sys; print('{bounds}') if not os.path.exists(r'{flag}') else "
               "sys.exit('the disk is away')"]  # fmt: skip
    watch = FairnessWatch([], 0.01, SystemClock(), first_s=0.0, program=program, on_turn=turns.release)
    watch.start()
    assert turns.acquire(timeout=180) and watch.notes() == []
    flag.touch()
    assert turns.acquire(timeout=180) and turns.acquire(timeout=180)
    watch.close()
    assert watch.notes() == ["fairness can't be looked at: the disk is away"]
    assert watch.readings()["homeostat_fairness_verdict"] == {"selection_rate": 1.0}


def test_a_process_that_hangs_ends_with_the_server() -> None:
    stop = threading.Event()
    stop.set()
    hanging = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(CommandFailed, match="this process ends"):
        answer_until([], 600.0, stop, hanging)
    with pytest.raises(CommandFailed, match="longer than"):
        answer_until([], 0.0, threading.Event(), hanging)
    with pytest.raises(CommandFailed, match="can be started"):
        answer_until([], 1.0, threading.Event(), ["/nowhere/at/all"])


def test_doctor_says_what_the_last_decisions_show(world, capsys) -> None:
    app, data = world
    with pytest.raises(SystemExit):
        main(["doctor", str(app), "--data", str(data)])
    assert "warning  fairness: FAIL: the difference of selection rate between a and b" in capsys.readouterr().out
