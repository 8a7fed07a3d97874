"""Stores of questions and feedback: the contract over each, hostile texts, and what an audit finds."""

from __future__ import annotations

import re
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeostat.adapters.disk.audit.findings import Faults
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.disk.sqlite.statements_auditing import compare_statement_file
from homeostat.adapters.postgres.statements import PostgresStatements
from homeostat.checks.statements import STATEMENT_CHECKS, answer, feedback, question
from homeostat.errors import Unavailable
from homeostat.ports.statements import Bounds, StatementsError
from homeostat.records.statements import StatementKind

by_name = pytest.mark.parametrize("check", STATEMENT_CHECKS, ids=lambda check: check.__name__)


@by_name
def test_the_store_of_a_data_folder_keeps_the_contract(check, tmp_path: Path) -> None:
    check(lambda bounds=None: SqliteStatements(tmp_path, bounds=bounds or Bounds()))


@by_name
def test_the_store_in_postgres_keeps_the_contract(check, database: str) -> None:
    check(lambda bounds=None: PostgresStatements(database, bounds=bounds or Bounds()))


def test_looking_leaves_a_folder_as_it_is_and_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = SqliteStatements(tmp_path)
    assert store.head()[0] == 0 and list(tmp_path.iterdir()) == []
    store.append(question())
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    store.close()
    with pytest.raises(Unavailable):
        store.head()


def test_another_apps_file_and_another_programs_are_refused(tmp_path: Path) -> None:
    with closing(SqliteStatements(tmp_path, app="loans")) as store:
        store.append(question())
    with pytest.raises(StatementsError, match="of the app loans"):
        SqliteStatements(tmp_path, app="payments").head()
    other = tmp_path / "other"
    other.mkdir()
    with closing(sqlite3.connect(other / "statements.db")) as db:
        db.execute("CREATE TABLE t (x)")
    with pytest.raises(StatementsError, match="does not hold statements"):
        SqliteStatements(other).head()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "statements.db").write_bytes(b"no database" * 100)
    with pytest.raises(StatementsError):
        SqliteStatements(tmp_path / "bad").append(question())


HOSTILE = st.text(max_size=300)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=HOSTILE, contact=HOSTILE, about=HOSTILE, source=HOSTILE, value=HOSTILE | st.floats() | st.booleans())
def test_whatever_people_write_is_stored_as_it_is_or_refused(tmp_path, text, contact, about, source, value) -> None:
    with closing(SqliteStatements(tmp_path)) as store:
        for one in (
            question(text=text, contact=contact, about=about),
            feedback(text=text, source=source, about=about, value=value),
        ):
            before = store.head()
            try:
                made = store.append(one)
            except ValueError:
                assert store.head() == before
            else:
                assert store.get(made.number) == made
                assert (made.text, made.about, made.value) == (one.text, one.about, one.value)


def test_postgres_stores_what_the_folder_stores(empty_database, tmp_path) -> None:
    with closing(SqliteStatements(tmp_path)) as folder, closing(PostgresStatements(empty_database)) as server:

        @settings(max_examples=40, database=None)
        @given(text=st.text(min_size=1, max_size=100))
        def same(text: str) -> None:
            answers = []
            for store in (folder, server):
                try:
                    answers.append(store.append(question(text=text)).text)
                except ValueError as error:
                    answers.append(str(error))
            assert answers[0] == answers[1]

        same()


def faults_of(folder: Path, named: dict[int, str]) -> list[str]:
    faults = Faults()
    compare_statement_file(folder / "statements.db", named, faults)
    return [fault.why for fault in faults.verdict(0, "", None, True).faults]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("UPDATE statements SET actor = 'bob' WHERE number = 1", "one of them was edited"),
        ("UPDATE statements SET topic = 'changed' WHERE number = 2", "one of them was edited"),
        ("UPDATE statement_texts SET text = 'all is well' WHERE number = 1", "their words|its words"),
        ("DELETE FROM statements WHERE number = 3", "is missing, and the trail names it"),
        ("DELETE FROM statements WHERE number = 2", "does not follow the one before it"),
        ("CREATE TABLE more (x)", "not as statements have it"),
    ],
)
def test_an_edit_of_the_file_is_found(tmp_path: Path, sql: str, found: str) -> None:
    with closing(SqliteStatements(tmp_path)) as store:
        asked = store.append(question())
        store.append(answer(asked.number))
        store.append(feedback())
        named = dict([store.head()])
    assert faults_of(tmp_path, named) == []
    with closing(sqlite3.connect(tmp_path / "statements.db")) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute(sql)
        db.commit()
    why = "\n".join(faults_of(tmp_path, named))
    assert re.search(found, why), why


def test_words_that_were_forgotten_are_no_fault_and_a_lost_file_is_one(tmp_path: Path) -> None:
    with closing(SqliteStatements(tmp_path)) as store:
        store.append(question())
        named = dict([store.head()])
        store.forget(1)
    assert faults_of(tmp_path, named) == []
    assert b"Really" not in (tmp_path / "statements.db").read_bytes()
    (tmp_path / "statements.db").unlink()
    assert "is missing, and the trail names it" in "\n".join(faults_of(tmp_path, named))


@pytest.mark.parametrize("forged", ["value = '" + "[" * 100_000 + "'", f"at_ns = {2**63 - 1}"])
def test_a_forged_row_is_named_as_damage(tmp_path: Path, forged: str) -> None:
    with closing(SqliteStatements(tmp_path)) as store:
        store.append(feedback())
    with closing(sqlite3.connect(tmp_path / "statements.db")) as db, db:
        triggers = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        db.execute(f"UPDATE statements SET {forged}")
        for _, sql in triggers:
            db.execute(sql)
    with closing(SqliteStatements(tmp_path)) as store, pytest.raises(StatementsError, match="is damaged"):
        store.append(replace(feedback(), text=store.list(StatementKind.FEEDBACK)[0].text))
