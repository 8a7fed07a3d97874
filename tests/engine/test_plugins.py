"""An app with a stranger's scorer: rules hold, starts end, and failures are shown wherever people look."""

from __future__ import annotations

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from homeostat import load
from homeostat.app import brain, feature_plan
from homeostat.cli import main
from homeostat.config.load import parse_app
from homeostat.decide.scorers import plugins
from homeostat.engine.assembly import open_engine
from homeostat.engine.metrics import engine_registry
from homeostat.jobs.replay import Request, replay_events
from homeostat.records.identity import Coding

ROOT = Path(__file__).parents[2]
ACCESS = (ROOT / "src/homeostat/apps/access/app.yaml").read_text()
EVENT = {"event_id": "1", "entity_id": "7", "event_type": "action", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}


class Made:
    """A stranger's scorer, which does what its test says."""

    def __init__(self, name: str, does: Any) -> None:
        self.name, self._does = name, does

    def score(self, features: Any) -> Any:
        return self._does(features)


def halves(features: Any) -> Any:
    return np.full(len(features), 0.5), np.ones(len(features))


@pytest.fixture
def gate() -> Any:
    opened = Event()
    yield opened
    opened.set()


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Installs a scorer of kind `graph` that does something, or is made by a factory."""

    def install(does: Any = halves, make: Any = None) -> str:
        factory = make or (lambda name, settings, features: Made(name, does))
        monkeypatch.setattr(sys.modules[__name__], "make_graph", factory, raising=False)
        monkeypatch.setattr(plugins, "_SLOW", set())
        points = [EntryPoint("graph", f"{__name__}:make_graph", plugins.GROUP)]
        monkeypatch.setattr(plugins, "entry_points", lambda group: points)
        monkeypatch.setattr("homeostat.config.meaning.entry_points", lambda group: points)
        spec = "scorers:\n  graph: {kind: graph, start: 50ms}\n"
        return ACCESS.replace("scorers:\n", spec, 1)

    return install


def test_a_hard_rule_holds_whatever_a_plug_in_does_to_its_features(plugin: Any) -> None:
    def writes(features: Any) -> Any:
        features.values[:] = 0
        return halves(features)

    text = plugin(writes)
    large = "  rules:\n    - {name: large, when: value > 5, action: block, priority: 200}\n"
    text = text.replace("  rules:\n    - {name: denied", f"{large}    - {{name: denied", 1)
    with load_engine(text) as engine:
        answer = engine.decide({**EVENT, "value": 9})
        assert answer["action"] == "block" and answer["rule"] == "large"
        assert engine.decision("1", features=True)["features"]["value"]["value"] == 9
        assert engine.parts.loop.troubles()["scorers"]["graph"]["scorer_failed"] == 1


def load_engine(text: str, **options: Any) -> Any:
    return open_engine(parse_app(text), **options)


@pytest.mark.parametrize("where", ["made", "asked"])
def test_a_plug_in_that_hangs_stops_neither_the_start_nor_a_decision_and_is_said(
    plugin: Any, gate: Event, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(features: Any) -> Any:
        gate.wait()
        return halves(features)

    def make(name: str, settings: Any, features: Any) -> Any:
        gate.wait()
        return Made(name, halves)

    monkeypatch.setattr("homeostat.engine.readiness._PATIENCE_S", 0.05)
    text = plugin(hangs) if where == "asked" else plugin(make=make)
    heard: list[str] = []
    with load_engine(text, on_error=lambda name, error: heard.append(name)) as engine:
        for number in range(3):
            answer = engine.decide({**EVENT, "event_id": str(number)})
            assert "scorer_late" in answer["fallback"] and answer["action"]
        loop = engine.parts.loop
        assert heard == ["graph"] and loop.troubles()["scorers"]["graph"]["scorer_late"] == 3
        assert loop.notes()[0].startswith("decides without the scorer graph: it ")
        values = {sample.labels["scorer"]: sample.value for family in engine_registry(engine).collect()
                  if family.name == "homeostat_scorer_out" for sample in family.samples}  # fmt: skip
        assert values["graph"] == 1.0 and not any(value for name, value in values.items() if name != "graph")
        gate.set()
        loop.stages.panel.seats[0].aside.last.result(10)
        loop.stages.panel.seats[0].deadline_ns = 10**12
        assert "scorer" not in (engine.decide({**EVENT, "event_id": "9"})["fallback"] or "") and loop.notes() == []


def test_the_doctor_says_which_plug_in_hangs_and_which_learner_fails(
    plugin: Any, gate: Event, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(name: str, settings: Any, features: Any) -> Any:
        gate.wait()
        return Made(name, halves)

    def fails(self: Any, experience: Any) -> None:
        raise ZeroDivisionError("float division by zero")

    monkeypatch.setattr("homeostat.decide.policy.bandit.BanditPolicy.learn", fails)
    app = tmp_path / "app.yaml"
    app.write_text(plugin(make=make).replace("policy: {kind: thresholds}", "policy: {kind: bandit}"))
    with pytest.raises(SystemExit) as stop:
        main(["doctor", str(app), "--json"])
    found = {finding["what"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert stop.value.code == 1
    assert found["scorer graph"]["seen"] == "it is not ready yet" and found["scorer graph"]["mend"]
    assert "ZeroDivisionError" in found["learning of the policy"]["seen"]


def test_an_app_whose_learners_work_has_no_such_finding(plugin: Any) -> None:
    from homeostat.engine.readiness import try_learning

    text = plugin().replace("policy: {kind: thresholds}", "policy: {kind: bandit}")
    learned: list[int] = []
    with load_engine(text) as engine:
        policy = engine.parts.loop.stages.policy
        learn = policy._learn_now
        policy._learn_now = lambda rows: (learned.append(len(rows)), learn(rows))
        assert try_learning(engine.parts.loop, engine.app, feature_plan(engine.app)) == {}
    assert sum(learned) > 0


def test_a_replay_goes_on_without_a_plug_in_that_hangs_and_says_so_in_its_report(
    plugin: Any, gate: Event, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(features: Any) -> Any:
        gate.wait()
        return halves(features)

    monkeypatch.setattr("homeostat.decide.panel.hang_limit_s", lambda n: 0.05)
    events = tmp_path / "events.jsonl"
    events.write_text("".join(json.dumps({**EVENT, "event_id": str(k)}) + "\n" for k in range(10)))
    report = replay_events(parse_app(plugin(hangs)), Request(events, tmp_path / "out", chunk_rows=4), lambda *_: None)
    assert report["decisions"] == 10 and report["troubles"]["scorers"]["graph"]["scorer_late"] == 3
    assert "not answered" in report["troubles"]["scorers"]["graph"]["out"]
    assert report["fallbacks"]["scorer_late"] == 10


def test_a_plug_in_without_a_deadline_has_half_of_the_apps(plugin: Any) -> None:
    from homeostat.app import Ports, build
    from homeostat.checks.stand_ins import MemoryJournal, ScriptedClock

    app = parse_app(plugin())
    features = feature_plan(app)
    ready = brain(app, features, None)
    for declared, wanted in ((app.deadline, app.deadline // 2), (None, 10**9)):
        changed = app.model_copy(update={"deadline": declared})
        loop = build(changed, features, ready, Ports(MemoryJournal(), ScriptedClock(), Coding.of_seed(0)))
        assert loop.stages.panel.seats[0].deadline_ns == wanted


def test_the_shipped_app_without_plug_ins_still_loads() -> None:
    with load("access") as engine:
        assert engine.decide(EVENT)["action"] == "allow" and engine.parts.loop.troubles() == {
            "scorers": {}, "learning": {},
        }  # fmt: skip


def test_a_report_for_people_says_which_parts_failed() -> None:
    from homeostat.cli.report_view import _troubles

    scorers = {"graph": {"scorer_late": 3, "out": "it has not answered within 50 ms"}}
    learning = {"policy": {"failed": 2, "last": "ZeroDivisionError: division by zero"}}
    assert _troubles({"scorers": scorers, "learning": learning}) == [
        "scorer graph: scorer late 3 times; out at the end: it has not answered within 50 ms",
        "learning of the policy: 2 steps failed, the last with ZeroDivisionError: division by zero",
    ]
