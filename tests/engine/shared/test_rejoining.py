"""Rows that the feature store lacks are written again: of processes that died without it, and those it lost."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from tests.support.restarting import RestartingFeatures
from trials.corruption.redis_keys import Journal, batch, decided, plan

from homeostat.adapters.disk.file_lock import FileLock
from homeostat.checks.stand_ins import ScriptedClock
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.decide.windows.shared import SharedFeaturizer
from homeostat.engine.shared.connecting import own_folder
from homeostat.engine.shared.rejoining import Behind, Rejoiner, adopt_behind, rejoin
from homeostat.ports import Unavailable
from homeostat.records.features import Freshness
from homeostat.records.reasons import Fallback


def test_each_process_has_a_folder_of_its_own_and_a_restart_finds_it(tmp_path):
    first, lock = own_folder(tmp_path)
    second, other = own_folder(tmp_path)
    assert first != second
    lock.release()
    again, lock = own_folder(tmp_path)
    assert again == first
    lock.release()
    other.release()


def test_only_what_dead_processes_left_is_taken_over(tmp_path):
    for name, since in (("0", 70), ("1", 40), ("2", 10)):
        (tmp_path / name).mkdir()
        Behind(tmp_path / name, SimpleNamespace(through=since)).begin()
    alive = FileLock(tmp_path / "2" / "lock")
    alive.acquire("")
    adopt_behind(tmp_path, tmp_path / "0")
    assert Behind(tmp_path / "0", None).since == 40
    assert Behind(tmp_path / "1", None).since is None
    assert Behind(tmp_path / "2", None).since == 10
    alive.release()


def test_where_nothing_is_behind_nothing_is_noted(tmp_path):
    folder, lock = own_folder(tmp_path)
    adopt_behind(tmp_path, folder)
    behind = Behind(folder, SimpleNamespace(through=None))
    assert behind.since is None
    behind.begin()
    assert behind.since == 0
    behind.end()
    assert behind.since is None
    lock.release()


def test_rows_that_the_store_lost_before_their_entry_was_journalled_are_written_again():
    journal, planned, chance, server = Journal(), plan(), np.random.default_rng(3), RestartingFeatures()
    one, other = (SharedFeaturizer(planned, RestartingFeatures(server), ("customer", "terminal")) for _ in range(2))
    truth, batches = WindowFeaturizer(planned), [batch(chance, 1 + 6 * at, at) for at in range(8)]
    for worker in (one, other):
        rejoin(worker, worker.store, journal)

    def land(worker, events, features):
        journal.bodies.append(decided(events, features))
        worker.journalled(journal.last)

    def decide(worker, events):
        found = worker.features(events)
        land(worker, events, found)
        return found

    decide(one, batches[0])
    decide(other, batches[1])
    server.save()
    flying = other.features(batches[2])
    server.restart()
    assert decide(one, batches[3]).fallback
    rejoin(one, one.store, journal, one.through)
    assert not one.behind
    land(other, batches[2], flying)
    seen = decide(one, batches[4])
    assert seen.fallback == Fallback.FEATURES_STALE and one.incomplete and one.trouble, "rows of the other are missing"
    assert (seen.freshness[:, planned.fields :] == Freshness.STALE).all()
    assert one.features(batches[5]).fallback  # The store is marked as whole up to the entry before.
    assert other.features(batches[5]).fallback, "it knows of the restart"
    rejoin(other, other.store, journal, other.through)
    for events in batches[:6]:
        truth.features(events)
    for worker in (other, one):
        worker.touch()
    for worker, at in ((other, 6), (one, 7)):
        expected, found = truth.features(batches[at]), worker.features(batches[at])
        assert not found.fallback and not worker.trouble
        assert np.array_equal(found.values, expected.values, equal_nan=True)


def test_a_worker_without_events_finds_what_the_store_has_lost_and_makes_it_whole(tmp_path):
    journal, planned, chance, server = Journal(), plan(), np.random.default_rng(3), RestartingFeatures()
    one, other = (SharedFeaturizer(planned, RestartingFeatures(server), ("customer", "terminal")) for _ in range(2))
    clock = ScriptedClock(1)
    keepers = []
    for worker in (one, other):
        rejoin(worker, worker.store, journal)
        (tmp_path / str(len(keepers))).mkdir()
        keepers.append(Rejoiner(worker, worker.store, journal, tmp_path / str(len(keepers)), clock))
    for worker, at in ((one, 0), (other, 1)):
        events = batch(chance, 1 + 6 * at, at)
        journal.bodies.append(decided(events, worker.features(events)))
        worker.journalled(journal.last)
    for keeper in keepers:
        assert keeper.attempt() is None
    server.save()
    server.restart()
    events = batch(chance, 13, 2)
    assert one.features(events).fallback
    keepers[0].attempt()
    one.features(events)
    assert one.incomplete, "the other has not looked since"
    clock.advance(2 * 10**9)
    assert keepers[1].attempt() is not None and keepers[1].rejoined == 1
    for _ in range(3):
        clock.advance(2 * 10**9)
        for keeper in keepers:
            keeper.attempt()
    assert not one.incomplete and not one.trouble and not other.incomplete


class CutOff(RestartingFeatures):
    """A worker's way to the server, which can be cut while the others reach it."""

    away = False

    def exchange(self, asked, through=None):
        if self.away:
            raise Unavailable("no route to the server")
        return super().exchange(asked, through)

    def through(self):
        if self.away:
            raise Unavailable("no route to the server")
        return super().through()


@pytest.mark.parametrize(
    ("when_down", "fallback"), [("stale", Fallback.FEATURES_STALE), ("absent", Fallback.FEATURES_ABSENT)]
)
def test_a_worker_that_alone_can_not_reach_the_store_flags_its_own_decisions_and_the_others_lack_its_rows(
    when_down, fallback
):
    journal, planned, chance, server = Journal(), plan(), np.random.default_rng(3), RestartingFeatures()
    entities = ("customer", "terminal")
    cut = CutOff(server)
    one = SharedFeaturizer(planned, cut, entities, when_down=when_down)
    other = SharedFeaturizer(planned, RestartingFeatures(server), entities, when_down=when_down)
    whole, without = WindowFeaturizer(planned), WindowFeaturizer(planned)
    batches = [batch(chance, 1 + 6 * at, at) for at in range(7)]
    for worker in (one, other):
        rejoin(worker, worker.store, journal)

    def decide(worker, at):
        found = worker.features(batches[at])
        journal.bodies.append(decided(batches[at], found))
        worker.journalled(journal.last)
        return found

    def expected(features, *past):
        for at in past[:-1]:
            features.features(batches[at])
        return features.features(batches[past[-1]]).values

    decide(one, 0)
    decide(other, 1)
    cut.away = True
    alone = decide(one, 2)
    assert alone.fallback == fallback and one.behind and "no route" in one.trouble
    wanted = Freshness.STALE if when_down == "stale" else Freshness.ABSENT
    assert (alone.freshness[:, planned.fields :] == wanted).any()
    assert not (alone.freshness[:, planned.fields : planned.fields + planned.windows.features] == Freshness.FRESH).any()

    # The others reach the server. They can not know: no flag, and the rows of the one that is cut off are missing.
    seen = decide(other, 3)
    assert not seen.fallback and not other.incomplete
    assert np.array_equal(seen.values, expected(without, 0, 1, 3), equal_nan=True)

    # It is back and signs so, but its rows are not written yet: now all are flagged.
    cut.away = False
    journal.wait_until_written = lambda wait_s: False
    with pytest.raises(Unavailable):
        rejoin(one, cut, journal, one.through)
    assert decide(other, 4).fallback == Fallback.FEATURES_STALE and other.incomplete
    del journal.wait_until_written

    rejoin(one, cut, journal, one.through)
    one.touch()
    for worker, at, past in ((other, 5, (0, 1, 2, 3, 4, 5)), (one, 6, (6,))):
        found = decide(worker, at)
        assert not found.fallback and np.array_equal(found.values, expected(whole, *past), equal_nan=True)
