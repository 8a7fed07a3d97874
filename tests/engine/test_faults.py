"""An engine in which one event brings about a fault of ours: what becomes of that event, and of all others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homeostat import load
from homeostat.adapters.disk.audit.verification import verify
from homeostat.adapters.disk.sqlite.auditing import tables_beside
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.decide.loop import Stopped
from homeostat.engine.engine import Engine
from homeostat.engine.isolating import UnusableEvent
from homeostat.ports import Unavailable

pytestmark = pytest.mark.usefixtures("unhurried")
SAME = ("event_id", "action", "risk", "scores", "reasons")
POISON = 666


def event(number: int, value: float = 10) -> dict:
    return {
        "event_id": f"e{number}", "entity_id": "7", "event_type": "action", "value": value,
        "timestamp": 1_769_774_400 + number,
    }  # fmt: skip


def poisoned(engine: Engine) -> Engine:
    """The engine, whose guards fail at a value, after the windows have taken it in."""
    stages = engine.parts.loop.stages
    rule = stages.guard.rule

    def ruled(events, *others):
        if (events.numbers == POISON).any():
            raise ZeroDivisionError("no such luck")
        return rule(events, *others)

    stages.guard.rule = ruled
    begin_again = engine.parts.begin_again

    def begun_again() -> None:
        begin_again()
        poisoned(engine)

    engine.parts.begin_again = begun_again
    return engine


def letters(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "dead_letters.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kept", [True, False], ids=["on disk", "in memory"])
def test_an_event_that_breaks_the_loop_off_is_a_dead_letter_and_the_others_are_as_ever(tmp_path, kept: bool) -> None:
    data = tmp_path / "data" if kept else None
    with load("access") as clean:
        expected = clean.decide([event(k) for k in range(40)])
    with load("access", data=data) as engine:
        poisoned(engine)
        answers = engine.decide([event(k) for k in range(10)])
        answers += engine.decide(
            [*(event(k) for k in range(10, 20)), event(99, POISON), *(event(k) for k in range(20, 30))]
        )
        bad = answers.pop(20)
        assert bad["status"] == 500 and bad["errors"][0]["reason"] == "undecidable" and bad["fix"]
        assert engine.refused == "" and engine.bad_events == 1
        answers += engine.decide([event(k) for k in range(30, 40)])
        assert [[one[name] for name in SAME] for one in answers] == [[one[name] for name in SAME] for one in expected]
        assert not any("duplicate" in one for one in answers)
    if data is not None:
        assert [letter["reason"] for letter in letters(data)] == ["undecidable"]
        assert "666" in letters(data)[0]["value"]
        with SqliteJournal(data / "journal.db", readonly=True) as journal:
            assert len(journal) == 40
        assert verify(data / "audit.jsonl", tables_beside(data / "audit.jsonl")).ok


def test_an_event_that_broke_the_loop_off_once_costs_no_second_recovery(tmp_path: Path) -> None:
    with load("access", data=tmp_path) as engine:
        poisoned(engine)
        recoveries = []
        begin_again = engine.parts.begin_again
        engine.parts.begin_again = lambda: (recoveries.append(1), begin_again())
        for _ in range(3):
            answers = engine.decide([event(1), event(2, POISON)])
            assert answers[0]["action"] == "allow" and answers[1]["status"] == 500
        assert len(recoveries) == 2  # Of the batch, and of the event by itself.
        with pytest.raises(UnusableEvent):
            engine.decide(event(2, POISON))
        assert len(recoveries) == 2


def test_a_reader_that_fails_at_a_message_costs_that_message(tmp_path: Path, monkeypatch) -> None:
    from homeostat.engine import engine as module

    read = module.read_objects

    def reading(objects, *others):
        if any(isinstance(one, dict) and one.get("value") == POISON for one in objects):
            raise OverflowError("a number too large")
        return read(objects, *others)

    monkeypatch.setattr(module, "read_objects", reading)
    with load("access", data=tmp_path) as engine:
        answers = engine.decide([event(1), event(2, POISON), 5, event(3)])
        assert [one.get("status") for one in answers] == [None, 500, 422, None]
        assert engine.refused == "" and len(letters(tmp_path)) == 2


def test_a_journal_that_fails_is_no_events_fault(tmp_path: Path) -> None:
    """Nothing is buried, and what was decided is written once the journal is well."""
    with load("access", data=tmp_path) as engine:
        append = engine.parts.journal.append

        def broken(body):
            raise RuntimeError("no such luck")

        engine.parts.journal.append = broken
        for _ in range(2):
            with pytest.raises(Stopped, match="journal failed"):
                engine.decide([event(1), event(2)])
        assert "journal" in engine.refused and letters(tmp_path) == []
        engine.parts.journal.append = append
        engine.resume()
        assert engine.refused == ""
        assert [one["duplicate"] for one in engine.decide([event(1), event(2)])] == [True, True]


def test_bad_events_are_buried_once_while_the_journal_is_down(tmp_path: Path) -> None:
    with load("access", data=tmp_path) as engine:
        append = engine.parts.journal.append

        engine.parts.journal.append = _full
        for _ in range(3):
            with pytest.raises(Unavailable):
                engine.decide([event(1), {"event_id": "bad"}])
        assert engine.refused == "the disk is full" and letters(tmp_path) == [] and engine.bad_events == 0
        engine.parts.journal.append = append
        answers = engine.decide([event(1), {"event_id": "bad"}])
        assert answers[0]["action"] == "allow" and answers[1]["status"] == 422 and engine.refused == ""
        assert len(letters(tmp_path)) == 1 == engine.bad_events


def test_outcomes_that_could_not_be_journalled_do_not_leave_the_engine_refusing(tmp_path: Path) -> None:
    """No decision waits then that could be tried again, so the disk itself is asked."""
    with load("access", data=tmp_path) as engine:
        engine.decide(event(1))
        append, room = engine.parts.journal.append, engine.parts.room
        engine.parts.journal.append = engine.parts.room = _full
        with pytest.raises(Unavailable):
            engine.learn({"event_id": "e1", "label": 1})
        with pytest.raises(Unavailable):
            engine.resume()
        assert engine.refused == "the disk is full"
        engine.parts.journal.append, engine.parts.room = append, room
        engine.resume()
        assert engine.refused == "" and [one.name for one in tmp_path.glob(".room*")] == []


def _full(*_: object) -> None:
    raise Unavailable("the disk is full")


def test_an_engine_that_cannot_begin_again_says_so_and_tries_later(tmp_path: Path) -> None:
    with load("access", data=tmp_path) as engine:
        poisoned(engine)
        begin_again = engine.parts.begin_again

        def failing() -> None:
            raise RuntimeError("no such luck")

        engine.parts.begin_again = failing
        with pytest.raises(Exception, match="could not begin again"):
            engine.decide(event(1, POISON))
        assert engine.refused
        engine.parts.begin_again = begin_again
        engine.resume()
        assert engine.refused == "" and engine.decide(event(2))["action"] == "allow"
