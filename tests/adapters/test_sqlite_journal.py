import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.adapters.disk.sqlite.id_index import IdIndex
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.journals import compression
from homeostat.adapters.journals.entries import JournalError
from homeostat.checks.batches import decisions, outcomes, same
from homeostat.checks.journal import JOURNAL_CHECKS, ids_of
from homeostat.ports import Unavailable
from homeostat.records import codec
from homeostat.records.identity import Ids, joined_ids


@pytest.mark.parametrize("power_safe", [False, True], ids=["kill_safe", "power_safe"])
@pytest.mark.parametrize(
    "compress", [compression.PLAIN, compression.LZ4, compression.ZSTD], ids=["plain", "lz4", "zstd"]
)
@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: check.__name__)
def test_the_sqlite_journal_conforms(check, power_safe, compress, tmp_path):
    check(lambda: SqliteJournal(tmp_path / "journal.db", power_safe=power_safe, compress=compress))


def test_a_journal_in_memory_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with SqliteJournal(":memory:", app="payments") as journal, SqliteJournal(":memory:") as other:
        journal.append(decisions(list(range(3000))))
        journal.append(outcomes([1]))
        journal.flush()
        assert journal.find((2999, 0)) is not None and other.find((2999, 0)) is None
        assert len(list(journal.read())) == 3
    assert list(tmp_path.iterdir()) == []


identities = st.tuples(st.integers(-9, 9), st.sampled_from([0, 0, 1, -1]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(identities, max_size=40), max_size=30))
def test_the_index_equals_a_dictionary(groups):
    index, twin = IdIndex(), {}
    for entry, group in enumerate(groups, 1):
        index.put(Ids.of(group), np.array([entry], np.uint32))
        for one in group:
            twin.setdefault(one, entry)
    asked = [(code, check) for code in range(-10, 11) for check in (-1, 0, 1, 2)]
    assert index.entries(Ids.of(asked)).tolist() == [twin.get(one, 0) for one in asked]
    assert len(index) == len(twin)


@pytest.mark.parametrize(("texts", "bytes_max"), [(False, 20.1), (True, 27.1)], ids=["integers", "texts"])
def test_the_index_grows_and_stays_small(texts, bytes_max):
    index, rng = IdIndex(), np.random.default_rng(1)
    codes = rng.integers(1, 2**62, 200_000)
    ids = Ids(codes, rng.integers(-(2**63), 2**63 - 1, 200_000) if texts else np.zeros(200_000, np.int64))
    for start in range(0, len(ids), 10_000):
        index.put(ids[start : start + 10_000], np.array([start // 10_000 + 1], np.uint32))
    assert (index.entries(ids) == np.arange(200_000) // 10_000 + 1).all()
    assert not index.entries(Ids(codes, ids.check + 1)).any() and not index.entries(Ids(-codes, ids.check)).any()
    assert index.nbytes / len(index) <= bytes_max


@pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: check.__name__)
def test_a_journal_written_in_bulk_conforms(check, tmp_path):
    check(lambda: SqliteJournal(tmp_path / "journal.db", bulk=True))


def test_a_journal_written_in_bulk_goes_on_as_any_other(tmp_path):
    path = tmp_path / "other.db"
    with SqliteJournal(path, bulk=True) as journal:
        journal.append(decisions(list(range(5000))))
        journal.flush()
    with SqliteJournal(path, readonly=True) as reader:
        assert reader.find((4999, 0)) is not None and len(reader) == 5000
    for bulk in (False, True):
        with SqliteJournal(path, bulk=bulk) as journal:
            mode = journal._file.db.execute("PRAGMA journal_mode").fetchone()[0]
            assert mode == ("delete" if bulk else "wal")
            journal.append(decisions([6000 + bulk]))
    with SqliteJournal(path) as journal:
        assert len(journal) == 5002 and [entry.sequence for entry in journal.read()] == [1, 2, 3, 4, 5]


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path):
    path = tmp_path / "journal.db"
    with SqliteJournal(path) as journal:
        journal.append(decisions([1]))
        with pytest.raises(Unavailable, match="another process is writing"):
            SqliteJournal(path)
        with SqliteJournal(path, readonly=True) as reader:
            assert reader.find((1, 0)) is not None
            with pytest.raises(Unavailable, match="for reading only"):
                reader.append(decisions([2]))
    SqliteJournal(path).close()


def test_a_closed_journal_says_so(tmp_path):
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.append(decisions([1]))
    journal.close()
    journal.close()
    for use in (lambda: journal.append(decisions([1])), lambda: list(journal.read()), lambda: journal.find((1, 0))):
        with pytest.raises(Unavailable, match="is closed"):
            use()


def test_rows_can_be_neither_changed_nor_deleted(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as journal:
        journal.append(decisions([1]))
    db = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    for statement in (
        "DELETE FROM entries",
        "UPDATE entries SET body = x''",
        "UPDATE about SET value=1",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)
    db.close()


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_journal_is_refused(content, tmp_path):
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(JournalError, match="not a journal"):
        SqliteJournal(path)
    assert path.read_bytes() == content


def test_another_programs_database_another_format_and_another_app_are_refused(tmp_path):
    other = tmp_path / "other.db"
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE t (x)")
    db.close()
    with pytest.raises(JournalError, match="not a homeostat journal"):
        SqliteJournal(other)
    path = tmp_path / "journal.db"
    SqliteJournal(path, app="payments").close()
    SqliteJournal(path, app="payments").close()
    with pytest.raises(JournalError, match="of the app payments, not of access"):
        SqliteJournal(path, app="access")
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(JournalError, match="format 99"):
        SqliteJournal(path)


def test_a_folder_that_is_missing_or_cannot_be_written_is_said_so(tmp_path):
    with pytest.raises(Unavailable, match="can't be opened for writing"):
        SqliteJournal(tmp_path / "nowhere" / "journal.db")
    with pytest.raises(Unavailable, match="no journal"):
        SqliteJournal(tmp_path / "journal.db", readonly=True)


def test_a_full_disk_writes_nothing_and_later_appends_succeed(tmp_path):
    with SqliteJournal(tmp_path / "journal.db", compress=compression.PLAIN) as journal:
        journal.append(decisions([1]))
        pages = journal._file.db.execute("PRAGMA page_count").fetchone()[0]
        journal._file.db.execute(f"PRAGMA max_page_count = {pages + 2}")
        large = decisions(list(range(2, 5000)))
        for _ in range(2):
            with pytest.raises(Unavailable, match="free some space"):
                journal.append(large)
            assert journal.seen(large.events.ids).sum() == 0
            assert [entry.sequence for entry in journal.read()] == [1]
        journal._file.db.execute("PRAGMA max_page_count = 1000000")
        journal.append(large)
        assert journal.seen(large.events.ids).all()
    with SqliteJournal(tmp_path / "journal.db") as journal:
        assert len(journal) == 4999


ROUNDS = 4  # Each starts an interpreter; more are run by setting this higher.

WRITER = """
import resource, signal, sys
from pathlib import Path
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.checks.batches import decisions
from homeostat.ports import Unavailable
from homeostat.records.identity import Ids, joined_ids
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, start, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
journal = SqliteJournal(path)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
k = start
while True:
    size = 1 if k % 3 else 3000
    try:
        journal.append(decisions(list(range(k * 10_000, k * 10_000 + size)), k, features=2))
    except Unavailable as error:
        print("refused", error, flush=True)
        break
    print(k, flush=True)
    k += 1
"""


def spawn(path, start, limit=0):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(start), str(limit)], stdout=subprocess.PIPE, text=True
    )


def expected(k):
    return list(range(k * 10_000, k * 10_000 + (1 if k % 3 else 3000)))


@pytest.mark.long
def test_no_acknowledged_append_is_lost_and_none_is_torn_when_the_writer_is_killed(tmp_path):
    path, start, rng = tmp_path / "journal.db", 1, np.random.default_rng(5)
    for _ in range(ROUNDS):
        writer = spawn(path, start)
        acknowledged = start - 1
        for _ in range(int(rng.integers(2, 40))):
            acknowledged = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.communicate()[0].split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        with SqliteJournal(path) as journal:
            ids = joined_ids([entry.body.events.ids for entry in journal.read()])
            last = int(ids.code[-1]) // 10_000
            assert acknowledged <= last <= acknowledged + 1
            assert ids.code.tolist() == [code for k in range(1, last + 1) for code in expected(k)]
            assert journal.seen(ids).all() and len(journal) == len(ids)
        start = last + 1


@pytest.mark.long
def test_a_file_size_limit_is_a_clear_refusal_and_the_journal_stays_whole(tmp_path):
    path = tmp_path / "journal.db"
    writer = spawn(path, 1, 3_000_000)
    lines = writer.communicate()[0].splitlines()
    assert lines[-1].startswith("refused") and "journal.db failed" in lines[-1]
    done = int(lines[-2])
    with SqliteJournal(path) as journal:
        ids = np.concatenate([entry.body.events.id_code for entry in journal.read()])
        assert ids.tolist() == [code for k in range(1, done + 1) for code in expected(k)]
        journal.append(decisions([-1]))


def test_damaged_pages_are_found_and_never_returned_as_decisions(tmp_path):
    path, rng = tmp_path / "journal.db", np.random.default_rng(3)
    with SqliteJournal(path) as journal:
        for k in range(30):
            journal.append(decisions([k * 2, k * 2 + 1], k))
    whole = path.read_bytes()
    with SqliteJournal(path) as journal:
        bodies = [entry.body for entry in journal.read()]
    for _ in range(60):
        broken = bytearray(whole)
        at = int(rng.integers(len(whole)))
        broken[at : at + 64] = rng.bytes(min(64, len(whole) - at))
        path.write_bytes(broken)
        try:
            with SqliteJournal(path) as journal:
                found = [entry.body for entry in journal.read()]
        except (JournalError, Unavailable):
            continue
        assert all(any(same(body, one) for one in bodies) for body in found)


def test_the_texts_of_ids_of_one_hash_are_distinguished(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as journal:
        batch = decisions(["mine"], coding=journal.coding)
        journal.append(batch)
        assert journal.find_text("mine") is not None
        assert journal.find(batch.events.ids.at(0), "another text of this hash") is None
        assert journal.find_text("other") is None


def test_decisions_are_found_by_time_and_action(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as journal:
        batches = [decisions(list(range(k * 10, k * 10 + 10)), k, start_ns=k * 10 * 10**9) for k in range(5)]
        for batch in batches:
            journal.append(batch)
        journal.append(outcomes([3]))
        found = [
            int(batch.events.id_code[row])
            for batch, rows in journal.decisions(15 * 10**9, 32 * 10**9, [1])
            for row in rows
        ]
        assert found == [
            int(batch.events.id_code[row])
            for batch in batches
            for row in range(10)
            if 15 <= batch.events.id_code[row] < 32 and batch.ruling.action[row] == 1
        ]
        assert sum(len(rows) for _, rows in journal.decisions()) == 50


def test_outcomes_that_travel_with_decisions_are_not_taken_for_decided_events(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as journal:
        batch = decisions([1, 2])
        batch = replace(batch, events=replace(batch.events, kind=np.array([0, 2], np.uint8)))
        journal.append(batch)
        assert journal.seen(ids_of(1, 2)).tolist() == [True, False]


def test_facts_and_digests_agree_with_the_bodies(tmp_path):
    with SqliteJournal(tmp_path / "journal.db") as journal:
        journal.append(decisions(list(range(5000))))
        journal.append(outcomes([1, 2]))
        facts = list(journal.facts())
        assert [fact.rows for fact in facts] == [2048, 2048, 904, 2]
        bodies = [entry.body for entry in journal.read()]
        assert [fact.digest for fact in facts] == [codec.head(codec.encode(body)).digest for body in bodies]
        assert [fact.took_us for fact in facts] == [getattr(body, "took_us", 0.0) for body in bodies]


def test_a_flush_copies_nothing_so_that_no_append_waits_for_it(tmp_path, monkeypatch):
    path = tmp_path / "journal.db"
    with SqliteJournal(path) as journal:
        journal.flush()
        journal.append(decisions(list(range(100))))
        synced = []
        monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
        size = path.stat().st_size
        with ThreadPoolExecutor(1) as other:
            other.submit(journal.flush).result()
        assert synced == [str(path) + "-wal"] and path.stat().st_size == size
        assert Path(synced[0]).stat().st_size > 0
