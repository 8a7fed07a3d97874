"""A journal in SQLite under its audit trail: every edit of every column of every table is found."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from zlib import crc32

import pytest
from edits import edits_of

from homeostat.adapters.disk.audit.trail import AuditLog, checkpoint_path, line_of
from homeostat.adapters.disk.audit.verification import verify
from homeostat.adapters.disk.sqlite.auditing import SqliteTables
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.tables import structure
from homeostat.adapters.journals import compression
from homeostat.checks.batches import decisions, outcomes
from homeostat.checks.stand_ins import ScriptedClock
from homeostat.records import codec

_NAMED = ("first_ns", "last_ns", "rows", "sha256")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A journal with single decisions, texts, a compressed body, an id that comes twice, outcomes; and its trail."""
    folder = tmp_path_factory.mktemp("audited")
    with SqliteJournal(folder / "journal.db", app="payments", clock=ScriptedClock(1_767_225_600 * 10**9)) as journal:
        with AuditLog(folder / "audit.jsonl", journal, checkpoint_every=1000) as log:
            log.holds(journal.says(), 1)
            log.started("test", 2)
            for batch in (decisions([1], 1), decisions(["two", 3, 3, -4], 2), outcomes([1, "two"]), decisions([5], 5)):
                journal.append(batch)
                log.follow(journal, 3)
            journal.append(decisions(list(range(10, 2200)), seed=6))
            journal.append(outcomes([10, 11, 12], seed=7))
            journal.append(decisions([6], 8))
            log.follow(journal, 4)
    return folder


def test_a_journal_that_says_from_now_on_when_entries_are_recorded_is_in_order(tmp_path):
    path, trail = tmp_path / "journal.db", tmp_path / "audit.jsonl"
    for number, clock in ((1, None), (2, ScriptedClock(9_000_000))):
        with SqliteJournal(path, app="payments", clock=clock) as journal, AuditLog(trail, journal) as log:
            log.holds(journal.says(), 1)
            journal.append(decisions([number], number))
            log.follow(journal, 3)
    lines = [json.loads(line)["facts"] for line in trail.read_bytes().splitlines()]
    assert [one.get("recorded_us") for one in lines if "sha256" in one] == [None, 9000]
    assert found(tmp_path).ok
    for value in ("NULL", "9001"):
        edit(tmp_path, (f"UPDATE entries SET recorded_us = {value} WHERE sequence = 2",))
        assert not found(tmp_path).ok
    edit(tmp_path, ("UPDATE entries SET recorded_us = 9000 WHERE sequence = 2",))
    edit(tmp_path, ("UPDATE entries SET recorded_us = 9000 WHERE sequence = 1",))
    assert not found(tmp_path).ok


@pytest.fixture
def folder(original, tmp_path):
    """A copy of it."""
    return shutil.copytree(original, tmp_path / "copy")


def found(folder):
    return verify(folder / "audit.jsonl", SqliteTables(folder / "journal.db"))


def edit(folder, *statements):
    """Run SQL on the journal, past the triggers that let it only grow; returns how many rows were changed."""
    changed = 0
    with closing(sqlite3.connect(folder / "journal.db", isolation_level=None)) as db:
        triggers = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        db.execute("BEGIN")
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        for sql, *values in statements:
            changed += db.execute(sql, values).rowcount
        for _, sql in triggers:
            db.execute(sql)
        db.execute("COMMIT")
    return changed


def tables(folder):
    """Each table with its columns and their types, those of its primary key, and all its rows."""
    with closing(sqlite3.connect(folder / "journal.db")) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            info = db.execute(f"PRAGMA table_xinfo('{name}')").fetchall()
            columns = {row[1]: row[2].lower() for row in info}
            key = [row[1] for row in info if row[5]]
            yield name, columns, key, [dict(zip(columns, row)) for row in db.execute(f"SELECT * FROM {name}")]


def is_the_same_body(row, other):
    """Whether other bytes hold the very same body: only how a body is compressed is not covered."""
    try:
        return compression.unpack(other["codec"], other["body"]) == compression.unpack(row["codec"], row["body"])
    except ValueError:
        return False


def all_edits(folder):
    for table, columns, key, rows in tables(folder):
        for row in rows:
            for column, kind in columns.items():
                for value in edits_of(kind, row[column]):
                    if table == "entries" and column in ("codec", "body"):
                        if is_the_same_body(row, {**row, column: value}):
                            continue
                    yield table, key, row, column, value


@pytest.mark.long
def test_every_edit_of_every_column_of_every_table_is_found_in_its_table_and_row(original, folder):
    assert found(folder).ok, found(folder).why
    data = (folder / "journal.db").read_bytes()
    edited, refused = set(), 0
    for table, key, row, column, value in all_edits(original):
        where = " AND ".join(f"{name} = ?" for name in key)
        try:
            assert edit(folder, (f"UPDATE {table} SET {column} = ? WHERE {where}", value, *(row[k] for k in key))) == 1
        except sqlite3.IntegrityError:  # The number of another entry.
            refused += 1
            continue
        result = found(folder)
        assert not result.ok, (table, column, row[key[0]], value)
        assert f"journal.db, {table}" in {fault.where for fault in result.faults}, result.why
        edited.add((table, column))
        (folder / "journal.db").write_bytes(data)
    assert edited == {(table, column) for table, columns, *_ in tables(original) for column in columns}
    assert found(folder).ok and refused < 30


def test_the_column_that_was_edited_is_named(folder):
    data = (folder / "journal.db").read_bytes()
    for column in ("kind", "rows", "first_ns", "last_ns", "digest", "ids", "body"):
        edited = {"digest": "zeroblob(32)", "ids": "x''", "body": "x'00'"}.get(column, f"{column} + 1")
        edit(folder, (f"UPDATE entries SET {column} = {edited} WHERE sequence = 2",))
        assert ("journal.db, entries", "entry 2", column) in {
            (fault.where, fault.row, fault.column) for fault in found(folder).faults
        }
        (folder / "journal.db").write_bytes(data)


def test_every_row_deleted_repeated_or_swapped_with_another_is_found(folder):
    data = (folder / "journal.db").read_bytes()
    for table, columns, key, rows in list(tables(folder)):
        (name,) = key
        for row in rows:
            fresh = {int: 1000, bytes: b"other", str: "other"}[type(row[name])]
            others = ", ".join(column for column in columns if column != name)
            copy = f"INSERT INTO {table} ({name}, {others}) SELECT ?, {others} FROM {table} WHERE {name} = ?"
            swaps = [
                [(f"UPDATE {table} SET {name} = ? WHERE {name} = ?", fresh, row[name]),
                 (f"UPDATE {table} SET {name} = ? WHERE {name} = ?", row[name], other[name]),
                 (f"UPDATE {table} SET {name} = ? WHERE {name} = ?", other[name], fresh)]
                for other in rows if other is not row
            ]  # fmt: skip
            for statements in (
                [(f"DELETE FROM {table} WHERE {name} = ?", row[name])],
                [(copy, fresh, row[name])],
                *swaps,
            ):
                edit(folder, *statements)
                assert not found(folder).ok, (table, row[name], statements)
                (folder / "journal.db").write_bytes(data)


def test_an_entry_replaced_by_another_that_is_whole_in_itself_is_found(folder):
    with SqliteJournal(":memory:") as other:
        other.append(decisions([1], 99))
        forged = other._file.one("SELECT * FROM entries")
    assert edit(folder, ("DELETE FROM entries WHERE sequence = 1",)) == 1
    edit(folder, ("INSERT INTO entries VALUES (" + ", ".join("?" * len(forged)) + ")", *forged))
    assert "entry 1: body is not the one that was written" in found(folder).why


def test_how_long_a_decision_took_is_covered_though_its_digest_leaves_it_out(folder):
    with closing(sqlite3.connect(folder / "journal.db")) as db:
        (body,) = db.execute("SELECT body FROM entries WHERE sequence = 1").fetchone()
    start = body[:16] + b"\0\0\0\0\0\0\x59\x40" + body[24:28]
    forged = start + crc32(start).to_bytes(4, "little") + body[32:]
    assert codec.verify(forged).digest == codec.verify(body).digest and codec.took_us(forged) == 100.0
    edit(folder, ("UPDATE entries SET body = ? WHERE sequence = 1", forged))
    assert "entry 1: took_us, in body, is 100.0 instead of" in found(folder).why


def test_what_a_journal_does_not_have_is_found(folder):
    data = (folder / "journal.db").read_bytes()
    for statement in (
        "CREATE TABLE more (a)", "DROP TRIGGER entries_DELETE", "ALTER TABLE entries ADD COLUMN more TEXT",
        "CREATE INDEX by_kind ON entries (kind)", "CREATE VIEW seen AS SELECT * FROM entries",
        "CREATE TRIGGER other AFTER INSERT ON entries BEGIN SELECT 1; END", "PRAGMA user_version = 77",
    ):  # fmt: skip
        with closing(sqlite3.connect(folder / "journal.db")) as db:
            db.execute(statement)
        assert not found(folder).ok, statement
        (folder / "journal.db").write_bytes(data)


def test_a_migrated_journal_has_the_structure_of_a_new_one(folder):
    with closing(sqlite3.connect(folder / "journal.db")) as db:
        assert structure(db) == structure(None)


@pytest.mark.long
def test_every_field_of_every_line_is_covered_though_the_line_is_sealed_again(original, folder):
    trail = folder / "audit.jsonl"
    lines = trail.read_bytes().splitlines()
    for number, line in enumerate(lines):
        record = json.loads(line)
        del record["hash"]
        for name, facts in [(name, None) for name in record] + [("facts", name) for name in record["facts"]]:
            inside = record if facts is None else record["facts"]
            field = name if facts is None else facts
            if isinstance(inside[field], dict):
                continue
            for value in edits_of("text", inside[field]):
                inside_edited = {**inside, field: value}
                edited = inside_edited if facts is None else {**record, "facts": inside_edited}
                sealed = line_of(edited)[0].encode()
                trail.write_bytes(b"\n".join([*lines[:number], sealed, *lines[number + 1 :]]) + b"\n")
                assert not found(folder).ok, (number, field, value)
    trail.write_bytes(b"\n".join(lines) + b"\n")
    assert found(folder).ok


def test_the_last_line_is_held_to_the_journal_where_no_checkpoint_vouches_for_it(folder):
    trail = folder / "audit.jsonl"
    checkpoint_path(trail).unlink()
    lines = trail.read_bytes().splitlines()
    record = {name: value for name, value in json.loads(lines[-1]).items() if name != "hash"}
    assert found(folder).ok and set(record["facts"]) == {*_NAMED, "recorded_us", "took_us"}
    edits = [{**record, "entry": record["entry"] + 1}, {**record, "kind": "outcomes"}, {**record, "kind": "other"}]
    for name, value in record["facts"].items():
        others = [*edits_of("text", value), None, [], {}, "text", 1e300]
        edits += [{**record, "facts": {**record["facts"], name: other}} for other in others]
        edits.append({**record, "facts": {other: kept for other, kept in record["facts"].items() if other != name}})
    for edited in edits:
        trail.write_bytes(b"\n".join([*lines[:-1], line_of(edited)[0].encode()]) + b"\n")
        assert not found(folder).ok, edited


@pytest.mark.long
@pytest.mark.parametrize(
    "value", [None, 5, -1.5, "text", [], [[]], {}, {"about": 7}, {"name": None, "bytes": "x"}, True]
)
@pytest.mark.parametrize("kind", ["started", "decisions", "outcomes", "file", "journal", "other", 7, None])
def test_a_line_of_any_content_is_a_fault_or_none_but_never_an_error(folder, kind, value):
    trail = folder / "audit.jsonl"
    lines = trail.read_bytes().splitlines()
    last = json.loads(lines[-1])
    common = {"at_ns": value if kind == 7 else 3, "previous": last["hash"], "sequence": last["sequence"] + 1}
    for facts in (
        value,
        {"about": value},
        {"name": value, "sha256": value},
        {"rows": value, "sha256": "0", "took_us": 1},
    ):
        record = {**common, "entry": last["entry"] + 1, "facts": facts, "kind": kind}
        trail.write_bytes(b"\n".join([*lines, line_of(record)[0].encode()]) + b"\n")
        assert not found(folder).ok
