"""A span of a recorded journal again: the same bit for bit, and otherwise under other settings; nothing live moves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.support.watched_app import HOUR_S, START_S, app_file, events_of

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.postgres.journal import PostgresJournal
from homeostat.adapters.postgres.settings import PostgresSettings
from homeostat.adapters.process.clock import SystemClock
from homeostat.checks.batches import decisions, outcomes
from homeostat.config.servers import Servers
from homeostat.engine.assembly import open_engine, prepare
from homeostat.engine.stores import stores_in
from homeostat.errors import HomeostatError
from homeostat.jobs import compared as comparing
from homeostat.jobs.maintaining import rehearsing
from homeostat.jobs.maintaining.cases import LastEntries
from homeostat.jobs.maintaining.lately import Lately
from homeostat.jobs.maintaining.rehearsal_process import Place, rehearsal_at
from homeostat.jobs.maintaining.rehearsing import JournalRehearsal
from homeostat.jobs.maintaining.source import source_in
from homeostat.ports.rehearsal import Again, CanNotRehearse
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.plans import Alteration

HOURS, BROKEN = 24 * 5, 24 * 4
RISK = """
scorers:
  size:
    kind: rules
    rules: [{name: many, when: n > 6, score: 0.7}, {name: large, when: amount > 50, score: 0.8},
            {name: other, when: amount >= 0, score: 0.02}]
"""
BLOCKED = Alteration(ChangeKind.FALLBACK, "app", {"action": "block"})
CENTS = Alteration(ChangeKind.REPAIR, "field:amount", {"op": "convert", "factor": 0.01, "where": "amount > 100"})


def at_ns(hour: int) -> int:
    """An hour of the record."""
    return (START_S + hour * HOUR_S) * 10**9


def change(data: Path, kind: ChangeKind, scope: str, body: dict[str, object] | None) -> None:
    """Change the settings of a folder."""
    with closing(SqliteSettings(data, app="watched", clock=SystemClock())) as settings:
        settings.append(Change(kind, scope, body, "ann", "wanted"), None)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Five days, decided one entry an hour; amounts are in cents from the fifth on. A threshold moved after two days,
    a list of repairs came and went on the third.
    """
    folder = tmp_path_factory.mktemp("rehearsed")
    app = app_file(folder)
    text = app.read_text()
    begin, end = text.index("scorers:"), text.index("fusion:")
    app.write_text(text[:begin] + RISK.lstrip() + text[end:])
    data = folder / "data"
    for hours in (range(48), range(48, 60), range(60, 72), range(72, HOURS)):
        if hours.start == 48:
            change(data, ChangeKind.THRESHOLD, "block", {"at": 0.75})
            change(data, ChangeKind.REPAIR, "field:amount", {"op": "convert", "factor": 2.0})
        if hours.start == 60:
            change(data, ChangeKind.REPAIR, "field:amount", None)
        with open_engine(app, data=data, audit=False) as engine:
            for hour in hours:
                engine.decide(events_of(hour, hour >= BROKEN))
                if hour % 7 == 0 and hour > 30:
                    engine.learn([
                        {"event_id": one["event_id"], "label": k % 2, "time": START_S + hour * HOUR_S}
                        for k, one in enumerate(events_of(hour - 30, False)[:4])
                    ])  # fmt: skip
    return folder


@contextmanager
def rehearsal_of(made: Path, data: Path | None = None) -> Iterator[JournalRehearsal]:
    """The rehearsal over a folder's journal."""
    data = data or made / "data"
    prepared = prepare(made / "watched.yaml")
    with (
        closing(SqliteIncidents(data, app="watched")) as store,
        source_in(data, prepared, store) as source,
        closing(stores_in(data, "watched", SystemClock())) as stores,
    ):
        yield JournalRehearsal(source, stores)


def same(again: Again) -> bool:
    return bool(
        again.kept.all()
        and np.array_equal(again.risk, again.served_risk, equal_nan=True)
        and np.array_equal(again.action, again.served_action)
    )


@pytest.mark.parametrize(("first", "until"), [(0, 40), (40, 66), (50, 58), (70, 110), (100, HOURS)])
def test_a_span_again_is_the_same_bit_for_bit_whatever_was_changed_in_it(made: Path, first: int, until: int) -> None:
    with rehearsal_of(made) as rehearsal:
        again = rehearsal.again(at_ns(first), at_ns(until), [])
        assert len(again) == sum(len(events_of(hour, False)) for hour in range(first, until))
        assert same(again) and len(np.unique(again.risk)) > 1
        assert np.allclose(again.features, again.served, rtol=1e-6, equal_nan=True)


def test_the_share_of_outcomes_that_are_known_by_age_is_that_of_all_decisions(made: Path, monkeypatch) -> None:
    with rehearsal_of(made) as rehearsal:
        assert rehearsal.again(at_ns(90), at_ns(HOURS), []).seen is None, "these are too few to say"
        monkeypatch.setattr(comparing, "_LEAST", 5)
        monkeypatch.setattr(comparing, "_COVERED", 0.0)
        again = rehearsal.again(at_ns(90), at_ns(HOURS), [])
        found = LastEntries(rehearsal.source).until(int(again.time_ns.max()))
        rows = np.arange(len(found) - len(again), len(found))
        wanted = comparing.seen_of(found, rows, rehearsal.source.prepared.app.outcomes.censoring)
        assert again.seen is not None and wanted is not None and np.array_equal(again.seen, wanted)
        assert 0 < again.seen.mean() <= 1


def test_outcomes_that_came_are_found_whatever_the_parts() -> None:
    lately, copy = Lately(), Lately()
    for k in range(3):
        lately.take(decisions([10 * k, 10 * k + 1, 10 * k + 2]))
        copy = lately.copy()
        lately.learn(outcomes([10 * k + 1, 99], seed=k, known_ns=5 + k))
    label, known_ns = lately.known()
    assert np.flatnonzero(~np.isnan(label)).tolist() == [1, 4, 7] and known_ns[[1, 4, 7]].tolist() == [5, 6, 7]
    assert (~np.isnan(copy.known()[0])).sum() == 2 and len(lately.decided()[0]) == 9


def test_alterations_hold_from_their_moment_on_and_the_span_begins_later(made: Path) -> None:
    with rehearsal_of(made) as rehearsal:
        whole = rehearsal.again(at_ns(80), at_ns(90), [BLOCKED])
        assert (whole.action == 1).all() and not (whole.served_action == 1).all()
        part = rehearsal.again(at_ns(85), at_ns(90), [BLOCKED], since_ns=at_ns(80))
        assert len(part) < len(whole) and (part.action == 1).all()
        other = Alteration(ChangeKind.THRESHOLD, "block", None)
        again = rehearsal.again(at_ns(62), at_ns(90), [other])
        assert not np.array_equal(again.action, again.served_action)


def test_a_repair_is_tried_on_events_as_they_came(made: Path) -> None:
    with rehearsal_of(made) as rehearsal:
        again = rehearsal.again(at_ns(BROKEN), at_ns(HOURS), [CENTS])
        assert (again.served_risk > 0.7).mean() > 0.9 and (again.risk > 0.75).mean() < 0.2
        twice = rehearsal.again(at_ns(50), at_ns(58), [Alteration(ChangeKind.REPAIR, "field:amount", None)])
        at = twice.names.index("amount")
        assert np.allclose(twice.features[:, at] * 2, twice.served[:, at])


def test_decisions_are_priced_on_amounts_as_a_repair_mends_them(made: Path) -> None:
    with rehearsal_of(made) as rehearsal:
        as_was = rehearsal.again(at_ns(100), at_ns(HOURS), [])
        mended = rehearsal.again(at_ns(100), at_ns(HOURS), [CENTS])
        earlier = rehearsal.again(at_ns(50), at_ns(58), [])
        undone = rehearsal.again(at_ns(50), at_ns(58), [Alteration(ChangeKind.REPAIR, "field:amount", None)])
    dear = as_was.if_positive[:, 0] > 100  # An allowed fraud costs the amount.
    assert dear.any() and np.allclose(mended.if_positive[dear, 0] * 100, as_was.if_positive[dear, 0])
    assert np.array_equal(mended.if_positive[~dear], as_was.if_positive[~dear])
    assert np.array_equal(earlier.if_positive, undone.if_positive), "a repair that was in force then counts"


def test_windows_made_again_are_those_that_were(made: Path) -> None:
    with rehearsal_of(made) as rehearsal:
        again = rehearsal.again(at_ns(80), at_ns(90), [Alteration(ChangeKind.REBUILD, "windows", {})])
        assert same(again)


def test_it_moves_nothing_and_may_run_while_a_server_writes(made: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(made / "data", data)
    before = {one.name: one.read_bytes() for one in data.iterdir() if one.suffix != ".lock"}
    with rehearsal_of(made, data) as rehearsal:
        rehearsal.again(at_ns(80), at_ns(90), [BLOCKED])
        after = {one.name: one.read_bytes() for one in data.iterdir() if one.suffix != ".lock"}
        assert {name: after[name] for name in before if "-shm" not in name} == {
            name: one for name, one in before.items() if "-shm" not in name
        }
        with open_engine(made / "watched.yaml", data=data, audit=False) as engine:
            engine.decide(events_of(HOURS, True))
            again = rehearsal.again(at_ns(HOURS), at_ns(HOURS + 1), [])
    assert len(again) == len(events_of(HOURS, True)) and same(again)


def test_a_span_that_is_too_long_says_so(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with rehearsal_of(made) as rehearsal:
        monkeypatch.setattr(rehearsing, "ENTRIES_MAX", 10)
        with pytest.raises(CanNotRehearse, match="entries would have to be read"):
            rehearsal.again(at_ns(80), at_ns(90), [])
        monkeypatch.setattr(rehearsing, "ROWS_MAX", 10)
        with pytest.raises(CanNotRehearse, match="more than 10 events"):
            rehearsal.again(at_ns(0), at_ns(9), [])


def test_a_span_without_events_is_empty(made: Path) -> None:
    with rehearsal_of(made) as rehearsal:
        assert not len(rehearsal.again(at_ns(HOURS + 5), at_ns(HOURS + 9), [BLOCKED]))


@pytest.mark.long
def test_a_journal_on_servers_is_decided_again_the_same(made: Path, empty_database: str) -> None:
    app = prepare(made / "watched.yaml")
    with (
        SqliteJournal(made / "data" / "journal.db", readonly=True) as old,
        PostgresJournal(empty_database, app="watched", words=app.words) as new,
    ):
        for entry in old.read():
            new.append(entry.body)
    with (
        closing(SqliteSettings(made / "data", app="watched", clock=SystemClock())) as ours,
        closing(PostgresSettings(empty_database, app="watched")) as theirs,
    ):
        for one in ours.since(0):
            theirs.append(one, None)
    with rehearsal_at(Place(app.app, servers=Servers(journal=empty_database))) as rehearsal:
        again = rehearsal.again(at_ns(50), at_ns(HOURS), [])
        assert len(again) > 1000 and np.array_equal(again.risk, again.served_risk)
        assert (again.action == again.served_action).mean() > 0.8  # The hold-out is drawn by another secret.
        again = rehearsal.again(at_ns(BROKEN), at_ns(HOURS), [CENTS])
        assert (again.served_risk > 0.7).mean() > 0.9 and (again.risk > 0.75).mean() < 0.2
        assert (rehearsal.again(at_ns(80), at_ns(90), [BLOCKED]).action == 1).all()
        with pytest.raises(HomeostatError, match="windows that several processes share"):
            rehearsal.again(at_ns(80), at_ns(90), [Alteration(ChangeKind.REBUILD, "windows", {})])
