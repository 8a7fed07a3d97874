"""Every store of settings does as a list does that is written down in the plainest way."""

from __future__ import annotations

import tempfile
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.memory.settings import MemorySettings
from homeostat.adapters.postgres.settings import PostgresSettings
from homeostat.errors import Conflict
from homeostat.ports.settings import Applied, expire
from homeostat.records.changes import Change, ChangeKind, Scope

SCOPES = [Scope(ChangeKind.THRESHOLD, "block"), Scope(ChangeKind.THRESHOLD, "review"), Scope(ChangeKind.LIST, "block")]
scopes, bodies = st.sampled_from(SCOPES), st.none() | st.integers(0, 3).map(lambda at: {"at": at})
YEAR_NS = 4_000_000_000 * 10**9


class Twin(RuleBasedStateMachine):
    """Two stores on one place, and the list."""

    make = staticmethod(list)

    def __init__(self):
        super().__init__()
        self.stores = self.make()
        self.kept = []
        self.reports = {}
        self.now = 0

    def last(self, scope):
        return max((c.number for c in self.kept if c.where == scope), default=0)

    def body(self, number):
        return self.kept[number - 1].body if number else None

    def check(self, store, change, expected):
        """Append both ways."""
        keyed = [c for c in self.kept if change.key and c.key == change.key]
        last = self.last(change.where)
        if keyed:
            allowed = keyed[0].where == change.where and keyed[0].body == change.body
        else:
            allowed = expected is None or expected == last
        if not allowed:
            with pytest.raises(Conflict):
                store.append(change, expected)
            return
        stored = store.append(change, expected)
        if keyed:
            assert stored == keyed[0]
            return
        assert (stored.number, stored.before) == (len(self.kept) + 1, self.body(last))
        assert (stored.where, stored.body, stored.actor, stored.key) == (
            change.where, change.body, change.actor, change.key,
        )  # fmt: skip
        assert not self.kept or stored.at_ns > self.kept[-1].at_ns
        self.kept.append(stored)

    @rule(scope=scopes, body=bodies, ahead=st.integers(-2, 0), key=st.sampled_from(["", "", "a", "b"]),
          expires=st.none() | st.integers(1, 5), one=st.integers(0, 1))  # fmt: skip
    def apply(self, scope, body, ahead, key, expires, one):
        expected = max(0, self.last(scope) + ahead)
        change = Change(*scope, body, "ann", "why", key, None if expires is None or body is None else YEAR_NS + expires)
        self.check(self.stores[one], change, expected)

    @rule(scope=scopes, body=bodies, one=st.integers(0, 1))
    def insist(self, scope, body, one):
        self.check(self.stores[one], Change(*scope, body, "bob", "anyway"), None)

    @precondition(lambda self: self.kept)
    @rule(data=st.data(), one=st.integers(0, 1))
    def undo(self, data, one):
        change = data.draw(st.sampled_from(self.kept))
        self.check(self.stores[one], change.undo("eve", "back"), change.number)

    @rule(later=st.integers(1, 3), one=st.integers(0, 1))
    def time_passes(self, later, one):
        self.now += later
        due = [c for c in self.in_force(self.kept) if c.expires_ns is not None and c.expires_ns <= YEAR_NS + self.now]
        done = expire(self.stores[one], YEAR_NS + self.now)
        assert sorted(c.where for c in done) == sorted(c.where for c in due)
        self.kept += sorted(done, key=lambda c: c.number)
        for change in done:
            undone = self.kept[change.reverts - 1]
            assert undone.expires_ns is not None and undone.expires_ns <= YEAR_NS + self.now
            earlier = max((c.number for c in self.kept[: undone.number - 1] if c.where == undone.where), default=0)
            assert change.body == self.body(earlier)

    @rule(process=st.sampled_from(["p", "q"]), number=st.integers(0, 5), one=st.integers(0, 1), leaves=st.booleans())
    def report(self, process, number, one, leaves):
        if leaves:
            self.stores[one].leave(process)
            self.reports.pop(process, None)
        else:
            self.reports[process] = Applied(process, number, 1)
            self.stores[one].report(self.reports[process])

    def in_force(self, changes):
        return [c for c in changes if c.body is not None and c.number == max(
            other.number for other in changes if other.where == c.where)]  # fmt: skip

    @invariant()
    def they_are_the_same(self):
        for store in self.stores:
            assert store.since(0) == self.kept
            assert list(store.processes()) == [self.reports[name] for name in sorted(self.reports)]
            for scope in SCOPES:
                mine = [c for c in self.kept if c.where == scope][::-1]
                assert store.history(scope) == mine and store.last_of(scope) == (mine[0] if mine else None)
            middle = self.kept[: len(self.kept) // 2]
            at_ns = middle[-1].at_ns if middle else 0
            assert store.at(at_ns) == {c.where: c for c in self.in_force(middle)}

    def teardown(self):
        for store in self.stores:
            store.close()


def run(make, examples, steps):
    machine = type("Machine", (Twin,), {"make": staticmethod(make)})
    run_state_machine_as_test(machine, settings=settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck),
    ))  # fmt: skip


@pytest.mark.long
def test_settings_in_memory_are_their_twin():
    run(lambda: [MemorySettings()] * 2, 50, 30)


@pytest.mark.long
def test_settings_in_a_folder_are_their_twin(tmp_path):
    def make():
        place = Path(tempfile.mkdtemp(dir=tmp_path))
        return [SqliteSettings(place), SqliteSettings(place)]

    run(make, 15, 25)


@pytest.mark.long
def test_settings_in_postgresql_are_their_twin(database):
    PostgresSettings(database).close()
    with psycopg.connect(database, autocommit=True) as within:

        def make():
            within.execute("TRUNCATE settings_changes, settings_processes")
            within.execute("UPDATE settings_head SET number = 0, at_ns = 0, digest = decode(repeat('00', 32), 'hex')")
            return [PostgresSettings(database), PostgresSettings(database)]

        run(make, 8, 20)
