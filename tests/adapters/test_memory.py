"""Memories of past incidents: the contract over each, looks that leave nothing, and files of others."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from homeostat.adapters.disk.sqlite import memory as embedded
from homeostat.adapters.disk.sqlite.memory import SqliteMemory
from homeostat.adapters.memory.passages import PASSAGE_MAX, passages
from homeostat.adapters.postgres.memory import PostgresMemory
from homeostat.checks.memory import MEMORY_CHECKS, past
from homeostat.errors import Unavailable
from homeostat.ports.memory import MemoryBounds, MemoryFault

by_name = pytest.mark.parametrize("check", MEMORY_CHECKS, ids=lambda check: check.__name__)


@by_name
def test_the_memory_of_a_data_folder_keeps_the_contract(check, tmp_path: Path) -> None:
    check(lambda bounds=None: SqliteMemory(tmp_path, bounds=bounds or MemoryBounds()))


@by_name
def test_the_memory_in_postgres_keeps_the_contract(check, database: str) -> None:
    check(lambda bounds=None: PostgresMemory(database, bounds=bounds or MemoryBounds()))


def test_looking_leaves_a_folder_as_it_is_and_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    with closing(SqliteMemory(tmp_path)) as memory:
        assert list(memory.cases()) == [] and list(tmp_path.iterdir()) == []
        memory.keep(past())
        assert stat.S_IMODE(os.stat(tmp_path / embedded.FILE).st_mode) == 0o600
    with pytest.raises(Unavailable, match="is closed"):
        memory.cases()


def test_the_memory_of_another_app_and_files_of_others_are_refused(tmp_path: Path) -> None:
    with closing(SqliteMemory(tmp_path, app="loans")) as memory:
        memory.keep(past())
    with closing(SqliteMemory(tmp_path, app="shop")) as memory, pytest.raises(MemoryFault, match="of the app loans"):
        memory.cases()
    with closing(sqlite3.connect(tmp_path / embedded.FILE)) as db:
        db.execute("UPDATE past_cases SET text = '[1]'")
        db.commit()
    with closing(SqliteMemory(tmp_path)) as memory, pytest.raises(MemoryFault, match="is damaged or of a newer"):
        memory.cases()
    (tmp_path / embedded.FILE).write_bytes(b"past" * 999)
    with closing(SqliteMemory(tmp_path)) as memory, pytest.raises(MemoryFault, match="does not hold past cases"):
        memory.cases()


def test_passages_are_bounded_however_long_a_line_is() -> None:
    text = "x" * 10_000 + "\n" + "word " * 3_000 + "\n# " + "y" * 300 + "\nend"
    found = [one for _, one in passages("a.md", text)]
    assert all(len(one) <= PASSAGE_MAX + 1 for one in found)
    assert sum(one.count("x") for one in found) == 10_000 and sum(one.count("word") for one in found) == 3_000
