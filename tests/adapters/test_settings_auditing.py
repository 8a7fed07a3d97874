"""Settings in a data folder under the audit of the journal beside them: every edit of every column is found."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from edits import edits_of

from homeostat.adapters.disk.audit.trail import AuditLog
from homeostat.adapters.disk.audit.verification import verify
from homeostat.adapters.disk.sqlite.auditing import SqliteTables
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.settings import FILE, SqliteSettings
from homeostat.checks.batches import decisions
from homeostat.checks.settings import threshold
from homeostat.records.bodies import ChangeBatch
from homeostat.records.change_rows import COLUMNS, START, as_row, chained, of_row

LATER_NS = 4 * 10**18


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Four changes, of which the journal has applied three."""
    folder = tmp_path_factory.mktemp("settings")
    with closing(SqliteSettings(folder, app="payments")) as settings:
        made = [settings.append(threshold(0.9, key="a", expires_ns=LATER_NS), 0)]
        made.append(settings.append(made[0].undo("bob", "no"), 1))
        made.append(settings.append(threshold(0.7), 2))
        settings.append(threshold(0.6, key="b"), 3)
    with SqliteJournal(folder / "journal.db", app="payments") as journal:
        with AuditLog(folder / "audit.jsonl", journal, checkpoint_every=1000) as log:
            log.holds(journal.says(), 1)
            journal.append(decisions([1], 1))
            journal.append(ChangeBatch(tuple(made[:2])))
            journal.append(decisions([2], 2))
            journal.append(ChangeBatch(tuple(made[2:])))
            log.follow(journal, 2)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    """A copy of it."""
    return shutil.copytree(original, tmp_path / "copy")


def found(folder):
    return verify(folder / "audit.jsonl", SqliteTables(folder / "journal.db"))


def edit(folder, *statements):
    """Run SQL on the settings, past the triggers that let them only grow."""
    with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as db:
        triggers = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        db.execute("BEGIN")
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        for sql, *values in statements:
            assert db.execute(sql, values).rowcount
        for _, sql in triggers:
            db.execute(sql)
        db.execute("COMMIT")


def rows(folder):
    with closing(sqlite3.connect(folder / FILE)) as db:
        info = db.execute("PRAGMA table_xinfo('changes')").fetchall()
        kinds = {row[1]: row[2].lower() for row in info}
        return kinds, [dict(zip(kinds, row)) for row in db.execute("SELECT * FROM changes").fetchall()]


def test_settings_as_they_were_made_are_whole(folder):
    result = found(folder)
    assert result.ok and result.changes == 3 and FILE in result.checked, result.why
    assert result.notes == ("settings.db, changes: change 4 that no process has applied; covered by the digests alone",)


@pytest.mark.long
def test_every_edit_of_every_column_is_found_in_its_row(original, folder):
    data, edited = (folder / FILE).read_bytes(), set()
    kinds, changes = rows(original)
    for change in (changes[0], changes[1], changes[3]):
        for column, kind in kinds.items():
            for value in [*edits_of(kind, change[column]), None]:
                if value == change[column]:
                    continue
                try:
                    edit(folder, (f"UPDATE changes SET {column} = ? WHERE number = ?", value, change["number"]))
                except sqlite3.IntegrityError:
                    continue
                result = found(folder)
                assert not result.ok, (column, change["number"], value)
                assert {fault.where for fault in result.faults} == {f"{FILE}, changes"}, result.why
                if change["number"] < 4 and column not in ("digest", "number"):
                    assert result.faults[0].column == column and f"change {change['number']}" in result.faults[0].row
                edited.add(column)
                (folder / FILE).write_bytes(data)
    assert edited == {*COLUMNS, "digest"}
    assert found(folder).ok


def test_rows_deleted_added_and_moved_are_found(original, folder):
    data = (folder / FILE).read_bytes()
    last = "INSERT INTO changes SELECT 9, at_ns, kind, scope, body, before, before_expires_ns, actor, reason, 'c', "
    for statements in (
        *([(f"DELETE FROM changes WHERE number = {number}",)] for number in (1, 2, 3)),
        [("DELETE FROM changes",)],
        [(last + "expires_ns, reverts, digest FROM changes WHERE number = 4",)],
        [("UPDATE changes SET number = -number WHERE number IN (1, 2)",),
         ("UPDATE changes SET number = 3 + number WHERE number < 0",)],
        [("UPDATE about SET value = 'access'",)], [("INSERT INTO about VALUES ('more', '')",)],
    ):  # fmt: skip
        edit(folder, *statements)
        result = found(folder)
        assert not result.ok and all(fault.where.startswith(FILE) for fault in result.faults), statements
        (folder / FILE).write_bytes(data)


def test_a_change_edited_with_all_digests_made_again_is_found_by_the_journal(folder):
    _, changes = rows(folder)
    digest, statements = START, []
    for row in changes:
        change = of_row([row[name] for name in COLUMNS])
        if change.number == 2:
            change = replace(change, actor="eve")
        digest = chained(digest, as_row(change))
        sql = "UPDATE changes SET actor = ?, digest = ? WHERE number = ?"
        statements.append((sql, change.actor, digest, change.number))
    edit(folder, *statements)
    (fault,) = found(folder).faults
    assert (
        fault.why == "settings.db, changes, change 2: actor is 'eve' instead of 'bob', as entry 2 of the journal says"
    )


def test_tables_triggers_and_headers_of_something_else_are_faults(folder):
    data = (folder / FILE).read_bytes()
    for statement in (
        "DROP TRIGGER changes_UPDATE", "CREATE TABLE more (x)", "DROP INDEX changes_key", "PRAGMA user_version = 2",
        "PRAGMA application_id = 1", "ALTER TABLE changes ADD COLUMN more TEXT",
    ):  # fmt: skip
        with closing(sqlite3.connect(folder / FILE)) as db:
            db.execute(statement)
        assert not found(folder).ok, statement
        (folder / FILE).write_bytes(data)
    (folder / FILE).write_bytes(b"no database")
    assert "is damaged" in found(folder).why


def test_settings_that_are_gone_are_missed(folder):
    (folder / FILE).unlink()
    result = found(folder)
    assert not result.ok and "change 1: is missing, and entry 2 of the journal applied it" in result.faults[0].why


def test_entries_that_disagree_on_a_change_are_faults(folder):
    with SqliteJournal(folder / "journal.db", app="payments") as journal:
        with AuditLog(folder / "audit.jsonl", journal, checkpoint_every=1000) as log:
            body = next(entry.body for entry in journal.read(1))
            journal.append(body)
            log.follow(journal, 3)
            assert found(folder).ok
            journal.append(ChangeBatch((replace(body.changes[0], actor="eve"),)))
            log.follow(journal, 3)
    assert "has another change 1 than entry 2" in found(folder).why
