"""Files of settings, jobs and versions that lack a row, or hold one that can't be read, are refused in a sentence."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from homeostat.adapters.disk.sqlite import jobs, registry, settings
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.journals.entries import JournalError
from homeostat.checks.batches import outcomes
from homeostat.checks.settings import add_one
from homeostat.errors import HomeostatError, Unavailable
from homeostat.models.bundle import Bundle, save_bundle
from homeostat.ports.registry import Lineage
from homeostat.records.job import Job
from homeostat.records.parts import Part


def changed(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)


def test_settings_and_versions_that_do_not_say_whose_they_are(tmp_path: Path) -> None:
    stores = (settings.SqliteSettings(tmp_path, app="a"), registry.SqliteRegistry(tmp_path, app="a"))
    save_bundle(Bundle("a", ("x",), {}, {"fusion": Part("k", ("x",))}), tmp_path / "b")
    add_one(stores[0], "ann")
    stores[1].put(tmp_path / "b", Lineage("a"))
    stores[0].close()
    for module in (settings, registry):
        changed(tmp_path / module.FILE, "DELETE FROM about")
    for again in (settings.SqliteSettings(tmp_path, app="a").since, registry.SqliteRegistry(tmp_path).versions):
        with pytest.raises(HomeostatError, match="is damaged: it does not say whose"):
            again(0)


@pytest.mark.parametrize("wrong", ["arguments = 'x'", "state = 'dancing'", "result = '{'"])
def test_a_job_that_cannot_be_read_is_named(tmp_path: Path, wrong: str) -> None:
    store = jobs.SqliteJobs(tmp_path)
    store.submit(Job("train", ()))
    store.close()
    changed(tmp_path / jobs.FILE, "PRAGMA ignore_check_constraints = 1", f"UPDATE jobs SET {wrong}")
    again = jobs.SqliteJobs(tmp_path)
    with pytest.raises(Unavailable, match="job 1 is damaged"):
        again.get(1)
    if "state" not in wrong:  # One of no state is in no list of states.
        with pytest.raises(Unavailable, match="job 1 is damaged"):
            again.list()
    again.close()


def test_a_reader_that_checks_each_second_digest_sees_damage_in_each_second_entry(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with SqliteJournal(path, app="a") as journal:
        for k in range(4):
            journal.append(outcomes([3 * k, 3 * k + 1, 3 * k + 2], seed=k))
    changed(path, "UPDATE entries SET body = CAST(substr(body, 1, length(body) - 5) || 'mmmmm' AS BLOB)")
    with SqliteJournal(path, app="a", readonly=True) as journal:
        with pytest.raises(JournalError, match=r"entry 1: .*digest"):
            list(journal.read())
        journal.checked_each = 2
        entries = journal.read()
        assert next(entries).sequence == 1
        with pytest.raises(JournalError, match=r"entry 2: .*digest"):
            next(entries)
        journal.checked_each = 5
        assert [one.sequence for one in journal.read()] == [1, 2, 3, 4]
