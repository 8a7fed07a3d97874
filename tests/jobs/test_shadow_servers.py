"""A challenger in shadow on servers: its decisions are beside the journal there, and one process makes them."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
from tests.support.job_programs import until
from tests.support.shadows import APP, let_them_run

from homeostat.adapters.postgres.shadow import PostgresShadow
from homeostat.cli import main
from homeostat.config.definitions import feature_definitions
from homeostat.config.servers import Servers
from homeostat.engine.assembly import prepare
from homeostat.engine.engine import Engine
from homeostat.engine.shared.connecting import open_shared
from homeostat.engine.shared.serving import engine_of, open_engine
from homeostat.jobs.shadow import InMemory
from homeostat.jobs.shadow_places import began_at, place_on, shadow_of
from homeostat.models.bundle import Bundle, save_bundle
from homeostat.ports.shadow import Held, ShadowState
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import DecisionBatch

NOBODY = Held("", False, ShadowState())
START = 1_780_000_000
OUTCOMES = "outcomes: {label: fraud, delay: 1d, horizon: 2d, unknown: negative, censoring: [block]}\n"


@pytest.fixture
def place(database: str, tmp_path: Path) -> tuple[Path, Servers]:
    """An app file and its servers; `servers.yaml` beside it names them."""
    (tmp_path / "app.yaml").write_text(APP + OUTCOMES)
    servers = Servers(
        journal=database, models=(tmp_path / "versions").as_uri(), models_cache=str(tmp_path / "cache"),
        spool=str(tmp_path / "spool"),
    )  # fmt: skip
    named = {"journal": database, "models": servers.models, "models_cache": servers.models_cache}
    (tmp_path / "servers.yaml").write_text(json.dumps({"servers": {**named, "spool": servers.spool}}))
    return tmp_path / "app.yaml", servers


def cli(*arguments: object) -> int:
    """Run a command; its exit code."""
    try:
        main([str(one) for one in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def events(first: int, many: int) -> list[dict]:
    return [
        {"event_id": f"e{k}", "time": START + 60 * k, "customer": k % 7, "amount": (k * 37) % 100}
        for k in range(first, first + many)
    ]


def opened(app: Path, servers: Servers) -> Engine:
    return engine_of(open_shared(app, servers, judges_lateness=True))


def register(app: Path, config: Path, capsys) -> str:
    """Keep a version; its name."""
    prepared = prepare(app)
    bundle = Bundle("trial", prepared.features.names, {"rows": 1}, {}, definitions=feature_definitions(prepared.app))
    save_bundle(bundle, app.parent / "bundle")
    assert cli("models", "import", app.parent / "bundle", "--config", config, "--json") == 0
    return str(json.loads(capsys.readouterr().out)["version"])


def test_a_challenger_follows_two_processes_on_servers_and_is_judged_and_previewed_there(place, capsys):
    app, servers = place
    config = app.parent / "servers.yaml"
    with opened(app, servers) as one, opened(app, servers) as other:
        for k in range(0, 300, 20):
            (one, other)[k // 20 % 2].decide(events(k, 20))
        version = register(app, config, capsys)
        assert cli("shadow", app, "--config", config, "--once") == 1
        assert "there is no challenger" in capsys.readouterr().err
        assert cli("models", "promote", version, "--role", "challenger", "--yes", "--wait", 0, "--config", config) == 1
        rule = {"when": "amount == 37", "action": "block", "reason": "odd"}
        for engine in (one, other):
            if engine is one:
                engine.settings.append(Change(ChangeKind.RULE, "odd", rule, "ann", "a test"), None)
            engine.parts.watcher.look()
        for k in range(300, 400, 20):
            (one, other)[k // 20 % 2].decide(events(k, 20))
    capsys.readouterr()
    assert cli("shadow", app, "--config", config, "--once", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["version"], found["events"], found["entries"]) == (version, 400, 20)
    assert cli("shadow", app, "--config", config, "--status", "--json") == 0
    (status,) = json.loads(capsys.readouterr().out)["versions"]
    assert (status["events"], status["differing"], status["running"]) == (400, 0, False)
    for source in ("shadow", "replay"):
        assert cli("models", "judge", version, "--app", app, "--config", config, "--source", source, "--json") == 0
        judged = json.loads(capsys.readouterr().out)
        assert (judged["events"], judged["differing"], judged["verdict"]) == (400, 0, "INCONCLUSIVE")
    options = ("--preview", "--app", app, "--hours", 9999, "--config", config, "--json")
    assert cli("models", "promote", version, *options) == 0
    assert json.loads(capsys.readouterr().out)["decisions"] == 400
    with place_on(servers) as there:
        kept = InMemory()
        with ExitStack() as stack:
            whole = shadow_of(app, there, version, kept, stack)
            assert whole.catch_up() == 400
            stored = stack.enter_context(closing(PostgresShadow(servers.journal)))
            assert [a.packed() for a in stored.read(version)] == [b.packed() for b in kept.read(version)]
            after = began_at(whole.journal, 1)
            later = [e for e in whole.journal.read(after) if isinstance(e.body, DecisionBatch)]
            assert {len(e.body) for e in later} == {20} and len(later) == 5, "it begins with the deployment"
            assert all(np.all(e.body.settings >= 1) for e in later)


def test_a_second_process_is_refused_and_the_first_hears_of_a_takeover(place, capsys):
    app, servers = place
    config = app.parent / "servers.yaml"
    with opened(app, servers) as engine:
        engine.decide(events(0, 20))
    version = register(app, config, capsys)
    with closing(PostgresShadow(servers.journal)) as store:
        assert store.take(version, "another", 60.0)
        arguments = ("shadow", app, "--config", config, "--version", version, "--once")
        assert cli(*arguments) == 1
        assert "another process decides" in capsys.readouterr().err
        store.leave(version, "another")
        assert cli(*arguments) == 0


@pytest.mark.long
def test_processes_on_servers_start_one_challenger_between_them_and_end_it_with_the_role(place, capsys, monkeypatch):
    let_them_run(monkeypatch)
    app, servers = place
    config = app.parent / "servers.yaml"
    with open_engine(str(app), config=str(config)) as one, open_engine(str(app), config=str(config)) as other:
        version = register(app, config, capsys)
        promote = ("models", "promote", version, "--role", "challenger", "--yes", "--wait", 0, "--config", config)
        assert cli(*promote) == 1
        for k, engine in enumerate((one, other)):
            until(lambda engine=engine: engine.parts.watcher.look() is None and engine.parts.loop.coming is not None)
            engine.decide(events(20 * k, 20))
        with closing(PostgresShadow(servers.journal)) as store:
            until(lambda: store.held().get(version, NOBODY).state.events == 40, 120.0)
            held = store.held()[version]
            assert held.owner in {engine.parts.watcher.process for engine in (one, other)} and held.lives
            until(lambda: all("homeostat_shadow_events" in engine.readings() for engine in (one, other)))
            assert {engine.readings()["homeostat_shadow_up"] for engine in (one, other)} == {1}
            assert one.notes() == other.notes() == []
            assert cli("models", "rollback", "--role", "challenger", "--yes", "--wait", 0, "--config", config) == 1
            for k, engine in enumerate((one, other), 2):
                until(lambda e=engine: e.parts.watcher.look() is None and e.parts.loop.coming is not None)
                engine.decide(events(20 * k, 20))
            until(lambda: not store.held()[version].lives)
            until(lambda: one.parts.shadow._keeper._run is None and other.parts.shadow._keeper._run is None)
