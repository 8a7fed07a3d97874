"""The engine in this process: one object in, one decision out, whatever the object is."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from homeostat import load
from homeostat.decide.intake.values import INTEGER_MAX
from homeostat.engine.dating import stepped
from homeostat.engine.engine import AUDIT_EVERY
from homeostat.engine.isolating import UnusableEvent

EVENT = {"event_id": "1", "entity_id": "7", "event_type": "action", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}


def events(count: int, first: int = 0) -> list[dict]:
    return [{**EVENT, "event_id": f"e{k}", "timestamp": 1_769_774_400 + k} for k in range(first, first + count)]


def plain(answer: dict) -> dict:
    return {name: value for name, value in answer.items() if name not in ("took_us", "duplicate")}


@pytest.mark.usefixtures("unhurried")
def test_batches_and_single_events_get_the_same_decisions() -> None:
    with load("access") as one, load("access") as many:
        singly = [one.decide(event) for event in events(50)]
        assert [plain(a) for a in many.decide(events(50))] == [plain(a) for a in singly]
        assert many.actions == one.actions and sum(many.actions.values()) == 50


def test_an_answer_carries_its_action_by_name_and_by_index(tmp_path: Path) -> None:
    burst = [{**EVENT, "event_type": "login", "event_id": f"e{k}"} for k in range(12)]
    with load("access", data=tmp_path) as engine:
        answered = engine.decide(burst)
        assert [(one["action"], one["action_index"]) for one in answered] == (
            [("allow", 0)] * 5 + [("throttle", 1)] * 6 + [("block", 2)]
        )
        assert list(engine.parts.app.actions) == ["allow", "throttle", "block"]
        assert engine.decision("e11")["action_index"] == 2
    with load("access", data=tmp_path) as engine:
        assert engine.decide(burst[6])["action_index"] == 1  # A repeated event, from the journal.


def test_a_single_bad_event_raises_with_its_problem() -> None:
    with load("access") as engine:
        with pytest.raises(UnusableEvent, match="timestamp: bad time") as caught:
            engine.decide({**EVENT, "timestamp": "soon"})
        assert caught.value.problem["errors"][0]["value"] == "soon"
        assert engine.bad_events == 1


def test_every_bad_object_is_a_dead_letter(tmp_path: Path) -> None:
    bad = [None, 5, "text", [], {}, b"\xff", {**EVENT, "value": "much"}, {**EVENT, "value": INTEGER_MAX * 10**300}]
    with load("access", data=tmp_path) as engine:
        answers = engine.answer([*bad, EVENT])
        assert [a.get("status") for a in answers] == [422] * len(bad) + [None]
    letters = [json.loads(line) for line in (tmp_path / "dead_letters.jsonl").read_text().splitlines()]
    assert len(letters) == len(bad) and all(letter["field"] and letter["reason"] for letter in letters)


def test_names_that_nobody_declared_are_left_among_the_dead_letters_and_no_event_is_one(tmp_path: Path) -> None:
    with load("access", data=tmp_path) as engine:
        answers = engine.answer([{**EVENT, "event_id": f"n{k}", "value_v2": 7} for k in range(3)])
        assert all("action" in one for one in answers) and engine.bad_events == 0
        engine.answer([{**EVENT, "event_id": "n9", "value_v2": 7}])  # It was handed on a moment ago.
    (line,) = (tmp_path / "dead_letters.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["field"], found["value"], found["reason"]) == ("value_v2", "", "unknown_name")
    assert found["detail"].startswith("in 3 of 3 events")


def test_a_repeated_id_counts_once_also_after_a_restart(tmp_path: Path) -> None:
    with load("access", data=tmp_path) as engine:
        first = engine.decide(EVENT)
    with load("access", data=tmp_path) as engine:
        again = engine.decide(EVENT)
        assert again == {**first, "duplicate": True}
        assert engine.parts.loop.counts["repeated"] == 1 and engine.parts.loop.counts["events"] == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "changed", [{"value": 2}, {"value": None}, {"entity_id": "8"}, {"timestamp": "2026-01-30T12:00:01Z"}], ids=str
)
def test_an_id_that_comes_again_with_another_content_is_marked_and_counted(changed: dict, tmp_path: Path) -> None:
    with load("access", data=tmp_path) as engine:
        first = engine.decide(EVENT)
        assert engine.decide({**EVENT, **changed}) == {**first, "duplicate": True, "differs": True}
        assert "differs" not in engine.decide(EVENT)
        batch = engine.decide([{**EVENT, "event_id": "2"}, {**EVENT, "event_id": "2", **changed}])
        assert "differs" not in batch[0] and batch[1]["differs"]
    with load("access", data=tmp_path) as engine:
        assert engine.decide({**EVENT, **changed}) == {**first, "duplicate": True, "differs": True}
        assert "differs" not in engine.decide({**EVENT, "value": 1.0, "timestamp": "2026-01-30T13:00:00+01:00"})
        assert engine.parts.loop.counts["differing"] == 1


def test_decisions_are_found_by_number_or_text_with_features() -> None:
    with load("access") as engine:
        engine.decide({**EVENT, "event_id": 5})
        assert engine.decision(5) == engine.decision("5") and engine.decision("6") is None
        whole = engine.decision(5, features=True, explain=True)
        assert whole is not None
        assert whole["features"]["count_10s"] == {"value": 1.0, "freshness": "fresh"}
        assert whole["explanation"]["same_version"]


def test_the_trail_follows_the_journal_in_strides_and_at_the_end(tmp_path: Path) -> None:
    trail = tmp_path / "audit.jsonl"
    with load("access", data=tmp_path) as engine:
        for event in events(3 * AUDIT_EVERY - 1):
            engine.decide(event)
        assert len(trail.read_text().splitlines()) == 2 + 2 * AUDIT_EVERY
    assert len(trail.read_text().splitlines()) == 2 + 3 * AUDIT_EVERY - 1


def test_decisions_look_for_statements_once_a_second_and_a_save_always(tmp_path: Path, monkeypatch) -> None:
    with load("access", data=tmp_path) as engine:
        parts, looks, now_ns = engine.parts, [], [10**12]
        stated, clock = parts.stated, parts.clock
        assert stated is not None
        monkeypatch.setattr(parts, "stated", lambda: (looks.append(now_ns[0]), stated())[1])
        monkeypatch.setattr(parts, "clock", SimpleNamespace(now_ns=clock.now_ns, monotonic_ns=lambda: now_ns[0]))
        for k, event in enumerate(events(6 * AUDIT_EVERY)):
            now_ns[0] = 10**12 + (k // (3 * AUDIT_EVERY)) * 10**9
            engine.decide(event)
        assert looks == [10**12, 10**12 + 10**9]
        engine.audit()
        assert len(looks) == 3


def test_an_outcome_without_a_time_is_known_now() -> None:
    with load("access") as engine:
        engine.decide(EVENT)
        assert engine.learn({"event_id": "1", "label": 1}) == [{"event_id": "1", "accepted": True}]
        [entry] = list(engine.parts.journal.read(1))
        assert abs(int(entry.body.known_ns[0]) - engine.parts.clock.now_ns()) < 60 * 10**9


def test_the_latest_time_allowed_moves_in_steps() -> None:
    day = 86_400 * 10**9
    assert stepped(day + 1, day) == day and stepped(5, 0) == 5
    assert 0 <= day * 3 + 12345 - stepped(day * 3 + 12345, day) < day // 24


BARE = """
homeostat: 1
app: bare
events:
  entities: {ENTITIES}
  fields: {amount: {type: number}}
scorers:
  large: {kind: rules, rules: [{name: large, when: amount > 50, score: 0.9}]}
fusion: {kind: weighted}
actions: [allow, block]
costs:
  allow: {positive: "10", negative: "0"}
  block: {positive: "0", negative: "1"}
guards: {fallback: {scorers_absent: allow}}
"""


@pytest.mark.long
@pytest.mark.parametrize("entities", ["", "a: {required: false}, b: {required: false}, ab: {of: [a, b]}"])
def test_events_of_nobody_are_decided_explained_and_found_after_a_restart(entities: str, tmp_path: Path) -> None:
    app = tmp_path / "app.yaml"
    app.write_text(BARE.replace("ENTITIES", entities))
    sent = [{"event_id": str(k), "time": 1_700_000_000 + k, "amount": 100 * (k % 2)} for k in range(100)]
    with load(str(app), data=tmp_path / "data") as engine:
        assert [answer["action"] for answer in engine.decide(sent)] == ["allow", "block"] * 50
        assert engine.decide({**sent[1], "event_id": "one"})["action"] == "block"
        assert engine.learn({"event_id": "1", "label": 1})[0]["accepted"]
        assert engine.decision("1", features=True, explain=True)["features"]["amount"]["value"] == 100
    with load(str(app), data=tmp_path / "data") as engine:
        assert engine.decide(sent[0])["duplicate"]


def test_in_a_shell_and_in_a_notebook_an_engine_says_what_it_is():
    with load("access") as engine:
        engine.decide(
            {"event_id": "1", "entity_id": "7", "event_type": "action", "value": 1, "timestamp": 1_700_000_000}
        )
        shown, page = repr(engine), engine._repr_html_()
    assert shown.startswith("<Engine app access, version access-") and "decided 1, allow 1" in shown
    assert "<tr><th>decided</th><td>1</td></tr>" in page and page.count("<tr>") == shown.count(",") + 1


def test_another_working_folder_is_none_of_the_engines_business(tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    usual = {"entity_id": "7", "event_type": "action", "value": 1, "timestamp": 1_700_000_000}
    with load("access", data="state") as engine:
        monkeypatch.chdir(elsewhere)  # As a plug-in may do.
        with pytest.raises(UnusableEvent):
            engine.decide({**usual, "event_id": "bad", "value": "no number"})
        engine.decide({**usual, "event_id": "good"})
    assert not list(elsewhere.iterdir())
    assert {"journal.db", "dead_letters.jsonl", "audit.jsonl"} <= {path.name for path in (tmp_path / "state").iterdir()}
