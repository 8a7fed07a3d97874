"""Journals of version 0.1.0, whose entries name no entities, fields, actions and rules, stay readable."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from tests.samples.reading import FORMAT1, answered, unpacked

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.tables import TIMELESS_FORMAT, structure
from homeostat.adapters.journals.entries import JournalError
from homeostat.checks.batches import decisions, same, words_of
from homeostat.checks.stand_ins import ScriptedClock
from homeostat.config.load import load_app
from homeostat.config.plans import vocabulary
from homeostat.engine.answers import answer
from homeostat.records.decisions import DecisionBatch

SHOP = vocabulary(load_app(FORMAT1 / "shop.yaml"))


def shown(journal, ids):
    """The decisions of these events, but for how long they took."""
    found = {}
    for event_id in ids:
        one = answer(*journal.find_text(event_id))
        found[event_id] = {name: value for name, value in one.items() if name != "took_us"}
    return found


def expected(folder):
    """The answers of then, with the action's number and the settings number, which they did not carry yet."""
    return {
        event_id: {name: value for name, value in one.items() if name not in ("took_us", "duplicate")}
        | {"action_index": SHOP.actions.index(one["action"]), "settings": 0}
        for event_id, one in answered(folder).items()
    }


@pytest.mark.parametrize("readonly", [True, False])
def test_old_entries_are_shown_as_they_were_answered(readonly, tmp_path):
    folder = unpacked("shop", tmp_path)
    wanted = expected(folder)
    assert len(wanted) == 100
    with SqliteJournal(folder / "journal.db", app="shop", words=SHOP, readonly=readonly) as journal:
        assert shown(journal, wanted) == wanted


def test_the_names_at_the_first_opening_stay_those_of_old_entries(tmp_path):
    folder = unpacked("shop", tmp_path)
    wanted = expected(folder)
    with SqliteJournal(folder / "journal.db", app="shop", words=SHOP) as journal:
        assert journal.unnamed == journal.last > 0
    later = vocabulary(load_app(FORMAT1 / "shop.yaml").model_copy(update={"actions": ("yes", "perhaps", "no")}))
    with SqliteJournal(folder / "journal.db", app="shop", words=later) as journal:
        assert shown(journal, wanted) == wanted


def test_old_entries_are_shown_with_numbers_where_the_names_do_not_fit(tmp_path):
    folder = unpacked("shop", tmp_path)
    two = vocabulary(load_app("access"))
    with SqliteJournal(folder / "journal.db", words=two, readonly=True) as journal:
        one = answer(*journal.find_text("1000"))
    assert (one["action"], one["rule"], one["reasons"][0]["name"]) == ("#2", "#0", "#0")


# The index of ids, beside the body, is of the journal's secret, which old journals get.
_COLUMNS = "sequence, kind, rows, first_ns, last_ns, digest, codec, body"


def rows(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY sequence").fetchall()


def without_ids(row):
    """The ids beside a body are an index, and named by the secret that the folder gets."""
    return (*row[:6], *row[7:9])


def test_an_old_entry_stays_as_it_is_when_the_journal_is_brought_up_to_date(tmp_path):
    folder = unpacked("shop", tmp_path)
    before = [without_ids(row) for row in rows(folder / "journal.db")]
    with SqliteJournal(folder / "journal.db", words=SHOP) as journal:
        journal.append(decisions([-5], 1))
    after = [without_ids(row) for row in rows(folder / "journal.db")]
    assert after[: len(before)] == before and len(after) == len(before) + 1


def of_format_3(path):
    """A journal as a version wrote it that did not say when entries were recorded."""
    with SqliteJournal(path, app="shop") as journal:
        journal.append(decisions([1], 1))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("ALTER TABLE entries DROP COLUMN recorded_us")
        db.execute(f"PRAGMA user_version = {TIMELESS_FORMAT}")
        assert structure(db) == structure(None, TIMELESS_FORMAT)


def test_entries_say_when_they_were_recorded_and_older_ones_do_not(tmp_path):
    path, clock = tmp_path / "journal.db", ScriptedClock(5_000_000)
    of_format_3(path)
    with SqliteJournal(path, app="shop", readonly=True) as reader:  # Before anyone brings it up to date.
        assert [entry.recorded_us for entry in reader.read()] == [None]
        assert [facts.recorded_us for facts in reader.facts()] == [None]
    with SqliteJournal(path, app="shop", clock=clock) as journal:
        journal.append(decisions([2], 2))
        clock.advance(7_000_000)
        journal.append(decisions([3, 4], 3))
        assert [facts.recorded_us for facts in journal.recent(1)] == [5000, 12000]
        assert [entry.recorded_us for entry in journal.read()] == [None, 5000, 12000]
        assert [facts.recorded_us for facts in journal.facts()] == [None, 5000, 12000]
    with closing(sqlite3.connect(path)) as db:
        assert structure(db) == structure(None)


def test_a_journal_without_a_clock_has_the_same_bytes_at_any_time(tmp_path):
    for name in ("one", "two"):
        with SqliteJournal(tmp_path / name, app="shop", bulk=True, secret=bytes(32)) as journal:
            journal.append(decisions([1], 1))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_schema_is_kept_once_and_found_again(tmp_path):
    batches = [decisions([k], k, actions=2 + k % 2) for k in range(6)]
    with SqliteJournal(tmp_path / "journal.db") as journal:
        for batch in batches:
            journal.append(batch)
    with sqlite3.connect(tmp_path / "journal.db") as db:
        assert db.execute("SELECT count(*) FROM schemas").fetchone() == (2,)
    with SqliteJournal(tmp_path / "journal.db", readonly=True) as journal:
        assert all(same(entry.body, batch) for entry, batch in zip(journal.read(), batches, strict=True))


def test_a_reader_finds_a_schema_that_was_added_after_it_had_opened(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as writer, SqliteJournal(tmp_path / "journal.db", readonly=True) as one:
        writer.append(decisions([1], 1))
        assert [entry.body.words for entry in one.read()] == [words_of()]


def test_a_schema_that_was_edited_is_refused(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as journal:
        journal.append(decisions([1], 1))
    with sqlite3.connect(tmp_path / "journal.db") as db:
        db.execute("DROP TRIGGER schemas_UPDATE")
        db.execute("UPDATE schemas SET text = replace(text, 'action_1', 'action_9')")
    db.close()
    with (
        SqliteJournal(tmp_path / "journal.db", readonly=True) as journal,
        pytest.raises(JournalError, match="was changed"),
    ):
        list(journal.read())


def test_a_decision_is_shown_in_the_words_it_was_made_in(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as journal:
        journal.append(decisions([1], 1, actions=2))
        journal.append(decisions([2], 1, actions=3))
        for sequence, entry in enumerate(journal.read(), 1):
            assert isinstance(entry.body, DecisionBatch)
            assert entry.body.words == words_of(1 + sequence)


def test_names_that_can_not_be_those_of_old_entries_are_not_kept_for_them(tmp_path):
    folder = unpacked("shop", tmp_path)
    wanted = expected(folder)
    with SqliteJournal(folder / "journal.db", words=vocabulary(load_app("access"))) as journal:
        assert journal.newest().words.actions == ("#0", "#1", "#2")
    with SqliteJournal(folder / "journal.db", words=SHOP) as journal:
        assert shown(journal, wanted) == wanted
