"""Feedback held against what became known of the decisions in a journal."""

from homeostat import load
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.jobs.feedback import feedback_since, scored_feedback, summary
from homeostat.records.statements import Statement, StatementKind

EVENTS = [
    {"event_id": f"e{k}", "entity_id": "7", "event_type": "action", "value": 1, "timestamp": f"2026-01-30T12:00:0{k}Z"}
    for k in range(4)
]


def said(k, value, source):
    return Statement(StatementKind.FEEDBACK, "decision", f"e{k}", "label", value, source, "key 1")


def test_outcomes_of_the_journal_say_how_good_feedback_is(tmp_path):
    with load("access", data=tmp_path) as engine:
        assert all("action" in answer for answer in engine.decide(EVENTS))
        engine.learn([{"event_id": "e0", "label": 1}, {"event_id": "e1", "label": 0}])
    store = SqliteStatements(tmp_path)
    before = store.append(said(0, True, "desk")).at_ns
    later = store.append(said(1, True, "desk")).at_ns
    store.append(said(2, True, "desk"))
    with SqliteJournal(tmp_path / "journal.db", readonly=True) as journal:
        found = scored_feedback(store, journal)
        assert [one.agrees_outcome for one in found] == [True, False, None]
        assert [one.history for one in found] == [1 / 2, 2 / 3, 1 / 2]
        since, all_of_it = feedback_since(store, journal, later), feedback_since(store, journal, before)
    assert since.number == 2 and all_of_it.number == 3
    assert since.weight == found[1].quality + found[2].quality and since.quality == since.weight / 2
    assert summary(found)["kinds"][0] == {
        "kind": "label", "number": 3, "quality": round(sum(one.quality for one in found) / 3, 6), "checked": 2,
        "right": 1, "trend": "steady",
    }  # fmt: skip
    assert feedback_since(store, None, 0).number == 3
    assert feedback_since(SqliteStatements(tmp_path / "none"), None, 0).quality is None
    store.close()
