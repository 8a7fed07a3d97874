"""Changes of the settings in several processes that share a journal."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from tests.engine.test_changes import APP as GATE

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.memory.journal import Ledger, MemoryJournal
from homeostat.adapters.memory.settings import MemorySettings
from homeostat.app import feature_plan
from homeostat.config.definitions import feature_definitions
from homeostat.config.load import parse_app
from homeostat.config.servers import Servers
from homeostat.decide.fusion.fixed import declared_table
from homeostat.engine.shared.connecting import open_shared
from homeostat.engine.shared.health import of_settings
from homeostat.engine.shared.serving import engine_of
from homeostat.engine.stores import Stores
from homeostat.models.bundle import Bundle, save_bundle
from homeostat.ports.registry import Lineage
from homeostat.records.bodies import ChangeBatch
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import DecisionBatch
from homeostat.records.parts import Part

START_S = 1_780_000_000


def events(first, count):
    return [
        {
            "event_id": f"e{k}", "entity_id": f"user-{k % 5}", "event_type": "login" if k % 3 else "read",
            "value": k % 11, "timestamp": START_S + k,
        }
        for k in range(first, first + count)
    ]  # fmt: skip


def change(kind, scope, body):
    return Change(ChangeKind(kind), scope, body, "ann", "a test")


def watched(engine):
    engine.parts.watcher.look()
    return engine


def check_order(bodies):
    """Each decision was made under a change that the journal holds before it, and no change is in it twice."""
    journalled = []
    for body in bodies:
        if isinstance(body, ChangeBatch):
            journalled += [one.number for one in body.changes]
        elif isinstance(body, DecisionBatch):
            assert body.settings in (0, *journalled)
    assert journalled == sorted(set(journalled))
    return journalled


@pytest.fixture
def world(tmp_path):
    """A ledger, settings, and a way to open engines on them."""
    ledger, settings, opened = Ledger(), MemorySettings(), ExitStack()

    def open_engine():
        shared = open_shared(
            "access", Servers(spool=str(tmp_path)), judges_lateness=True, journal=MemoryJournal(ledger),
            stores=Stores(settings),
        )  # fmt: skip
        return opened.enter_context(engine_of(shared))

    with opened:
        yield ledger, settings, open_engine


@pytest.mark.long
def test_each_process_decides_under_a_change_before_its_next_batch_and_it_is_journalled_once(world):
    ledger, settings, open_engine = world
    one, other = open_engine(), open_engine()
    assert [answer["settings"] for answer in one.decide(events(0, 3)) + other.decide(events(3, 3))] == [0] * 6
    settings.append(change("fallback", "app", {"action": "block"}), None)
    assert {answer["action"] for answer in watched(one).decide(events(6, 3))} == {"block"}
    settings.append(change("fallback", "app", None), None)
    assert [answer["settings"] for answer in watched(other).decide(events(9, 3))] == [2] * 3
    assert [answer["settings"] for answer in watched(one).decide(events(12, 3))] == [2] * 3
    late = open_engine()  # One that starts later decides its first batch under all of them.
    assert [answer["settings"] for answer in late.decide(events(15, 3))] == [2] * 3
    assert check_order(ledger.decoded(k) for k in range(1, len(ledger.bodies) + 1)) == [1, 2]


def test_stragglers_are_named(world):
    _, settings, open_engine = world
    engine = open_engine()
    settings.append(change("threshold", "nonsense", {"at": 0.5}), None)
    watched(engine).decide(events(0, 1))
    engine.change()
    found = list(of_settings(settings, engine.parts.clock.now_ns()))
    assert [one.health for one in found] == ["warning"]
    assert engine.parts.watcher.process in found[0].seen and "there is no action 'nonsense'" in found[0].seen
    assert "under change 0" in engine.notes()[-1]


@pytest.mark.long
def test_on_servers_the_same_holds(servers):
    with ExitStack() as opened:
        one, other = (
            opened.enter_context(engine_of(open_shared("access", servers, judges_lateness=True))) for _ in range(2)
        )
        for k in range(4):
            body = {"action": "block"} if k % 2 else None
            number = one.settings.append(change("fallback", "app", body), None).number
            engine = (one, other)[k // 2]
            while engine.parts.loop.next_settings()[0] < number:
                watched(engine)
            answers = engine.decide(events(10 * k, 10))
            assert [answer["settings"] for answer in answers] == [number] * 10
            assert (k % 2 == 0) or {answer["action"] for answer in answers} == {"block"}
        assert check_order(entry.body for entry in one.duties.shared.journal.read()) == [1, 2, 3, 4]
        rows = one.duties.shared.journal.inner._all("SELECT settings, count(*) FROM decisions GROUP BY 1 ORDER BY 1")
        assert rows == [(1, 10), (2, 10), (3, 10), (4, 10)]
        health = list(of_settings(one.settings, one.parts.clock.now_ns()))
        assert health


@pytest.fixture
def registry(tmp_path):
    """A registry with two versions of the gate, and the names of both."""
    app = parse_app(GATE)
    features, names = feature_plan(app).names, ("large", "often")
    for name, weights in (("one", {"large": 1.0, "often": 1.0}), ("two", {"large": 3.0, "often": 0.2})):
        table = declared_table(names, weights, 0.2)
        arrays = {"weights": table.weights, "reference": table.reference}
        part = Part("learned_fusion", table.names, arrays, {}, {"base": table.base, "limit": table.limit, "bend": 9.0})
        bundle = Bundle(app.app, features, {"rows": 1}, {"fusion": part}, definitions=feature_definitions(app))
        save_bundle(bundle, tmp_path / name)
    registry = SqliteRegistry(tmp_path, app=app.app)
    versions = [registry.put(tmp_path / name, Lineage(app.app)).version for name in ("one", "two")]
    yield registry, *versions
    registry.close()


@pytest.mark.long
def test_processes_that_started_under_other_champions_decide_alike_once_none_is_deployed(tmp_path, registry):
    app, ledger, settings = parse_app(GATE), Ledger(), MemorySettings()
    there, one, two = registry
    with ExitStack() as opened:
        engines = []
        for version in (one, two):
            settings.append(change("deploy", "champion", {"version": version}), None)
            shared = open_shared(
                app, Servers(spool=str(tmp_path)), judges_lateness=True, journal=MemoryJournal(ledger),
                stores=Stores(settings, there),
            )  # fmt: skip
            engines.append(opened.enter_context(engine_of(shared)))
        assert {decides(engine, two, "a", k) for k, engine in enumerate(engines)} == {True}
        settings.append(change("deploy", "champion", None), None)
        assert {decides(engine, one, "b", k) for k, engine in enumerate(engines)} == {True}


def decides(engine, version, name, k):
    """Whether a version decides an event of an engine."""
    event = {"event_id": f"{name}{k}", "time": START_S, "user": "u", "amount": 9, "land": "X"}
    return bool(watched(engine).decide([event])[0]["version"].endswith(version))


def test_processes_agree_which_entities_a_canary_decides(tmp_path, registry):
    """Each decides other events of the same entities, in batches of its own."""
    app, ledger, settings = parse_app(GATE), Ledger(), MemorySettings()
    there, _, two = registry
    sides = {}
    with ExitStack() as opened:
        engines = [
            opened.enter_context(
                engine_of(
                    open_shared(
                        app, Servers(spool=str(tmp_path)), bundle=tmp_path / "one", judges_lateness=True,
                        journal=MemoryJournal(ledger), stores=Stores(settings, there),
                    )
                )
            )
            for _ in range(2)
        ]  # fmt: skip
        settings.append(change("deploy", "canary", {"version": two, "share": 0.5}), None)
        for k, engine in enumerate(engines):
            made, size = watched(engine), 60 if k else 1
            given = [
                {"event_id": f"{k}-{j}", "time": START_S + j, "user": f"u{j}", "amount": 9, "land": "X"}
                for j in range(60)
            ]
            for start in range(0, 60, size):
                for one, answer in zip(given[start:], made.decide(given[start : start + size]), strict=False):
                    sides.setdefault(one["user"], set()).add(answer["version"])
    assert all(len(versions) == 1 for versions in sides.values())
    canarys = sum(version.endswith(two) for (version,) in sides.values())
    assert len(sides) == 60 and 15 < canarys < 45


@pytest.mark.long
def test_both_processes_repair_events_and_the_journal_keeps_them_as_they_came(world):
    ledger, settings, open_engine = world
    one, other = open_engine(), open_engine()
    settings.append(change("repair", "field:value", {"op": "convert", "factor": 2.0}), None)
    sent = events(0, 20)
    watched(one).decide(sent[:10])
    watched(other).decide(sent[10:])
    made = [body for body in map(ledger.decoded, range(1, len(ledger.bodies) + 1)) if isinstance(body, DecisionBatch)]
    column = [name for name, _ in made[0].words.fields].index("value")
    came = [value for body in made for value in body.events.as_came.numbers[:, column].tolist()]
    seen = [value for body in made for value in body.events.numbers[:, column].tolist()]
    assert came == [one["value"] for one in sent] and seen == [2 * value for value in came]
