import sqlite3
import threading

import pytest

from homeostat.adapters.disk.sqlite.checkpointer import Checkpointer


@pytest.fixture
def database(tmp_path):
    db = sqlite3.connect(tmp_path / "db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("CREATE TABLE t (x)")
    yield db
    db.close()


def test_the_log_stays_bounded_while_the_writer_goes_on(database, tmp_path):
    checkpointer, longest = Checkpointer(tmp_path / "db", 100_000, 400_000), 0
    for _ in range(300):
        database.execute("INSERT INTO t VALUES (zeroblob(20000))")
        checkpointer.appended(28_000)
        longest = max(longest, (tmp_path / "db-wal").stat().st_size)
    checkpointer.close()
    checkpointer.close()
    assert 100_000 < longest < 2_000_000
    assert database.execute("SELECT count(*) FROM t").fetchone() == (300,)


def test_a_small_database_has_no_thread(database, tmp_path):
    checkpointer, before = Checkpointer(tmp_path / "db"), threading.active_count()
    checkpointer.appended(1000)
    assert threading.active_count() == before
    checkpointer.close()


def test_a_checkpoint_that_fails_stops_neither_the_writer_nor_the_end(tmp_path):
    checkpointer = Checkpointer(tmp_path / "nowhere" / "db", 10, 20)
    for _ in range(5):
        checkpointer.appended(100)
    checkpointer.close()
