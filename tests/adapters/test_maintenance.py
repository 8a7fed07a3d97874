"""Stores of the maintenance loop's lease and memory: the contract over each, and damage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from homeostat.adapters.disk.dead_letters import DeadLetterFile
from homeostat.adapters.disk.letter_tail import LetterTail
from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.postgres.incidents import PostgresIncidents
from homeostat.checks.maintenance import MAINTENANCE_CHECKS
from homeostat.ports.incidents import IncidentsError
from homeostat.records.events import DeadLetter

by_name = pytest.mark.parametrize("check", MAINTENANCE_CHECKS, ids=lambda check: check.__name__)


@by_name
def test_the_store_of_a_data_folder_keeps_the_contract(check, tmp_path: Path) -> None:
    check(lambda: SqliteIncidents(tmp_path))


@by_name
def test_the_store_in_postgres_keeps_the_contract(check, database: str) -> None:
    check(lambda: PostgresIncidents(database))


@pytest.mark.parametrize("state", ["[]", "no json", "{" * 100_000, '{"entry": '])
def test_a_forged_state_is_named_as_damage(tmp_path: Path, state: str) -> None:
    with closing(SqliteIncidents(tmp_path)) as store:
        assert store.take("a")
    with closing(sqlite3.connect(tmp_path / "incidents.db")) as db, db:
        db.execute("UPDATE maintenance_lease SET state = ?", (state,))
    with closing(SqliteIncidents(tmp_path)) as store, pytest.raises(IncidentsError, match="is damaged"):
        store.lease()


def test_dead_letters_are_read_on_from_a_place(tmp_path: Path) -> None:
    path = tmp_path / "dead_letters.jsonl"
    tail, letters = (
        LetterTail(path),
        [DeadLetter(k, "amount", "x\u6f22", "wrong_type", "why" * (k % 2)) for k in range(5)],
    )
    assert tail.read(0) == ([], 0) and tail.end() == 0
    with DeadLetterFile(path) as file:
        file.bury(letters[:2])
        found, at = tail.read(0)
        assert found == letters[:2] and at == tail.end()
        file.bury(letters[2:])
        assert tail.read(at) == (letters[2:], tail.end())
    whole = tail.end()
    with open(path, "ab") as torn:
        torn.write(b'{"line": 9, "fie')
    assert tail.read(whole) == ([], whole)
    with open(path, "ab") as torn:
        torn.write(b'\n[1]\n"x"\n')
    assert tail.read(whole) == ([], tail.end())
    path.write_bytes(b"")
    assert tail.read(whole) == ([], 0)
