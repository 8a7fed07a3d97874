"""Lists of decisions: the contract over each journal, an index that is made late, removed or of another journal."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.adapters.disk.sqlite import decision_pages as embedded
from homeostat.adapters.disk.sqlite.decision_pages import FileEntries, SqliteShelf, open_decision_lists
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.journals.decision_columns import merged, page_of
from homeostat.adapters.journals.decision_lists import IndexedDecisions, Sizes
from homeostat.adapters.memory.decision_pages import MemoryShelf, decisions_in
from homeostat.adapters.postgres.decision_pages import open_decision_lists as on_postgres
from homeostat.adapters.postgres.journal import PostgresJournal
from homeostat.adapters.process.clock import SystemClock
from homeostat.checks.batches import decisions, words_of
from homeostat.checks.decision_lists import DECISION_LIST_CHECKS, listed, naive, shown, some_batches, write
from homeostat.errors import Unavailable
from homeostat.ports.decision_lists import DecisionListsError, Wanted

by_name = pytest.mark.parametrize("check", DECISION_LIST_CHECKS, ids=lambda check: check.__name__)
SMALL = Sizes(page_rows=30, page_entries=2, seal_rows=25, first_rows=10)


@by_name
def test_the_lists_of_a_data_folder_keep_the_contract(check, tmp_path: Path) -> None:
    check(lambda: SqliteJournal(tmp_path / "journal.db"), lambda: indexed(tmp_path, Sizes()))


@by_name
def test_the_lists_of_small_pages_keep_the_contract(check, tmp_path: Path) -> None:
    check(lambda: SqliteJournal(tmp_path / "journal.db"), lambda: indexed(tmp_path, SMALL))


@by_name
def test_the_lists_of_a_journal_in_memory_keep_the_contract(check) -> None:
    with SqliteJournal(":memory:") as journal:
        kept = Kept(journal)
        check(lambda: kept, lambda: decisions_in(journal, SystemClock(), lambda look: look()))


@by_name
def test_the_lists_in_postgres_keep_the_contract(check, database: str) -> None:
    check(lambda: PostgresJournal(database), lambda: on_postgres(database, follows=False))


class Kept:
    """A journal that closing leaves open: it lasts as long as its object."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.append, self.coding = journal.append, journal.coding

    def close(self) -> None: ...


class Indexing:
    """Lists whose whole index is made before each look, in as many pages as it takes."""

    def __init__(self, lists: IndexedDecisions) -> None:
        self._lists, self.close, self.news = lists, lists.close, lists.news

    def page(self, *arguments, **named):
        self._lists.index()
        return self._lists.page(*arguments, **named)

    def counts(self, *arguments):
        self._lists.index()
        return self._lists.counts(*arguments)


def indexed(folder: Path, sizes: Sizes) -> Indexing:
    entries = FileEntries.at(folder / "journal.db")
    return Indexing(IndexedDecisions(entries, SqliteShelf(folder), SystemClock(), follows=False, sizes=sizes))


def test_the_newest_decisions_are_listed_before_the_index_is_made(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "journal.db") as journal:
        written = write(journal, some_batches(0, 20))
    entries = FileEntries.at(tmp_path / "journal.db")
    with closing(IndexedDecisions(entries, SqliteShelf(tmp_path), SystemClock(), False, SMALL)) as lists:
        page = lists.page(Wanted(), 1000)
        assert page.scanned_ns is not None and page.following is not None and len(page.items) > 0
        expected = [place for place, *_ in naive(written, Wanted()) if place.time_ns >= page.scanned_ns]
        assert {one.place for one in page.items} <= set(expected)
        lists.index()
        assert listed(lists, Wanted(), 100) == [shown(*one) for one in naive(written, Wanted())]


def test_a_thread_makes_the_index_and_ends_with_the_lists(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "journal.db") as journal:
        written = write(journal, some_batches(0, 20))
        with closing(open_decision_lists(tmp_path)) as lists:
            page = lists.page(Wanted(), 1000)
            while page.scanned_ns is not None:
                page = lists.page(Wanted(), 1000)
            assert [one.place for one in page.items] == [place for place, *_ in naive(written, Wanted())]
        with pytest.raises(Unavailable, match="is closed"):
            lists.page(Wanted(), 1)


def test_the_index_of_another_journal_is_made_again(tmp_path: Path) -> None:
    for seed in (0, 5):
        with SqliteJournal(tmp_path / "journal.db") as journal:
            written = write(journal, some_batches(seed, 4))
            with closing(indexed(tmp_path, SMALL)) as lists:
                assert listed(lists, Wanted(), 100) == [shown(*one) for one in naive(written, Wanted())]
        (tmp_path / "journal.db").unlink()


def test_an_index_is_its_owners_alone_and_what_is_none_is_refused(tmp_path: Path) -> None:
    with SqliteJournal(tmp_path / "journal.db") as journal:
        write(journal, some_batches(0, 4))
    with closing(indexed(tmp_path, SMALL)) as lists:
        assert listed(lists, Wanted(), 100)
    path = tmp_path / embedded.FILE
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM columns WHERE name = 'risk'")
        db.commit()
    with closing(indexed(tmp_path, SMALL)) as lists, pytest.raises(DecisionListsError, match="risk of entry"):
        lists.page(Wanted(risk_min=0.1), 100)
    path.write_bytes(b"pages" * 999)
    with closing(indexed(tmp_path, SMALL)) as lists, pytest.raises(DecisionListsError, match="does not hold pages"):
        lists.page(Wanted(), 100)
    with pytest.raises(Unavailable, match="there is no journal"):
        open_decision_lists(tmp_path / "nowhere")


def test_two_processes_on_one_database_make_one_index(database: str) -> None:
    with PostgresJournal(database) as journal:
        written = write(journal, some_batches(0, 10))
        with closing(on_postgres(database, follows=False)) as one, closing(on_postgres(database, follows=False)) as two:
            one._sizes = two._sizes = SMALL
            for lists in (one, two, one):
                lists.index()
                assert listed(lists, Wanted(), 100) == [shown(*each) for each in naive(written, Wanted())]
                written += write(journal, some_batches(len(written), 3))
            two.index()
            one.index()
            expected = [shown(*each) for each in naive(written, Wanted())]
            assert listed(one, Wanted(), 100) == listed(two, Wanted(), 100) == expected


def test_entries_that_retention_removed_are_left_out_and_it_is_said(database: str) -> None:
    with PostgresJournal(database) as journal:
        written = write(journal, some_batches(0, 10))
        with closing(on_postgres(database, follows=False)) as lists:
            lists._sizes = SMALL
            lists.index()
            gone = written[4][0]
            lists._entries._connections.run(
                lambda connection: connection.execute("DELETE FROM entries WHERE sequence <= %s", (gone,))
            )
            written = [one for one in written if one[0] > gone] + write(journal, some_batches(20, 1))
            page = lists.page(Wanted(), 1000)
            assert [one.place for one in page.items] == [place for place, *_ in naive(written, Wanted())]
            assert page.kept_since_ns == written[0][1].events.time_ns.min()
            lists._drop_removed()
            assert min(head.last for head in lists._shelf.heads()) > gone


wishes = st.builds(
    Wanted,
    since_ns=st.integers(0, 60).map(lambda s: s * 10**9),
    until_ns=st.integers(30, 90).map(lambda s: s * 10**9),
    actions=st.sets(st.sampled_from(["action_0", "action_1", "other"]), max_size=2).map(tuple),
    rules=st.sets(st.sampled_from(["", "breaker", "rule_1", "renamed"]), max_size=2).map(tuple),
    versions=st.sets(st.sampled_from(["version-0", "version-1"]), max_size=1).map(tuple),
    entity=st.none() | st.tuples(st.sampled_from(["customer", "shop"]), st.integers(0, 8).map(str)),
    risk_min=st.none() | st.floats(0, 1),
    degraded=st.none() | st.booleans(),
)  # fmt: skip


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 12), st.integers(0, 60)), min_size=1, max_size=8), wishes,
    st.integers(1, 9),
)  # fmt: skip
def test_lists_find_what_a_plain_search_finds_whatever_was_decided(sizes, wanted: Wanted, limit: int) -> None:
    with SqliteJournal(":memory:") as journal:
        written, at = [], 0
        for seed, count, start in sizes:
            batch = decisions(list(range(at, at + count)), seed=seed, start_ns=start * 10**9)
            if start % 2:  # Another version had other names.
                words = replace(words_of(), rules=(("renamed", None),), entities=(("shop", ()), ("customer", ())))
                batch = replace(batch, words=words)
            written.append((journal.append(batch), batch))
            at += count
        entries = FileEntries(journal.file, journal.coding, lambda: None, lambda look: look())
        with closing(IndexedDecisions(entries, MemoryShelf(), SystemClock(), False, SMALL)) as lists:
            lists.index()
            assert listed(lists, wanted, limit) == [shown(*one) for one in naive(written, wanted)]


def test_pages_that_are_merged_are_the_page_of_all_their_entries() -> None:
    entries = list(enumerate(some_batches(0, 5), start=1))
    whole = page_of(1, 5, entries)
    head, columns = merged([page_of(1, 2, entries[:2]), page_of(3, 5, entries[2:])])
    assert head == whole[0]
    assert all(np.array_equal(columns[name], column) for name, column in whole[1].items())
