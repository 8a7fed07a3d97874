"""A challenger beside a server: it begins with the role, is shown in metrics and decisions, and ends with the role."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_servers import Server
from tests.support.job_programs import children, lives, until
from tests.support.shadows import let_them_run

from homeostat.adapters.disk.sqlite.shadow import ShadowFile
from homeostat.cli import main
from homeostat.config.definitions import feature_definitions
from homeostat.engine.assembly import prepare
from homeostat.models.bundle import Bundle, save_bundle

pytestmark = pytest.mark.long
PATIENCE_S = 300.0
APP = """
homeostat: 1
app: trial
events:
  entities: {customer: {}}
  fields: {amount: {type: number}}
scorers:
  size:
    kind: rules
    rules: [{name: large, when: amount > 50, score: 0.8}, {name: other, when: amount >= 0, score: 0.02}]
fusion: {kind: weighted}
actions: [allow, block]
guards:
  rules: [{name: huge, when: amount > 90, action: block}]
  fallback: {scorers_absent: allow}
"""


def cli(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    assert ended.value.code in (0, None)


def events(first: int, many: int) -> list[dict]:
    now = int(time.time())
    return [
        {"event_id": f"e{k}", "time": now, "customer": k % 7, "amount": k % 100} for k in range(first, first + many)
    ]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Path]]:
    """A server on a folder that keeps a version."""
    let_them_run(monkeypatch)
    app, data = tmp_path / "app.yaml", tmp_path / "data"
    app.write_text(APP)
    prepared = prepare(app)
    bundle = Bundle("trial", prepared.features.names, {"rows": 1}, {}, definitions=feature_definitions(prepared.app))
    save_bundle(bundle, tmp_path / "bundle")
    cli("models", "import", tmp_path / "bundle", "--data", data)
    server = Server(app, "--data", data)
    yield server, data
    if server.process.poll() is None:
        assert server.stop() == 0


def shown(server: Server) -> dict[str, float]:
    """The metrics of the challenger."""
    lines = server.ask("/metrics")[2].decode().splitlines()
    return {
        line.partition("{")[0].removeprefix("homeostat_shadow_"): float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("homeostat_shadow_") and "_created" not in line
    }


def events_in(data: Path) -> int:
    """How many events the challenger has decided, by its store: to ask the server again and again would hold it up."""
    with ShadowFile(data, readonly=True) as store:
        return next((held.state.events for held in store.held().values()), 0)


def shadows(server: Server) -> set[int]:
    """The processes of challengers that the server has started."""
    found = set()
    for task in os.listdir(f"/proc/{server.process.pid}/task"):
        with open(f"/proc/{server.process.pid}/task/{task}/children") as file:
            found |= {int(word) for word in file.read().split()}
    return {pid for pid in found if b"\0shadow\0" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def test_a_server_decides_for_its_challenger_and_shows_it_beside_the_champion(served, capsys):
    server, data = served
    assert len(server.decide(events(0, 10))) == 10 and shown(server) == {} and not shadows(server)
    cli("models", "promote", 1, "--role", "challenger", "--yes", "--data", data)
    assert len(server.decide(events(10, 100))) == 100
    until(lambda: events_in(data) == 100, PATIENCE_S)
    until(lambda: shown(server).get("events") == 100, PATIENCE_S)
    found = shown(server)
    assert (found["up"], found["differing"], found["failed"], found["restarts_total"]) == (1, 0, 0, 0)
    (pid,) = shadows(server)
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    assert any(line.startswith("Max data size") and str(512 << 20) in line for line in limits)
    decided = server.ask("/v1/decisions/e20?shadow=true")[2]
    (beside,) = decided["shadow"]
    assert (beside["action"], beside["risk"], beside["differs"]) == (decided["action"], decided["risk"], False)
    assert beside["propensity"] == decided["propensity"] and decided["version"].startswith("trial-")
    ruled = server.ask("/v1/decisions/e95?shadow=1")[2]["shadow"][0]
    assert (ruled["rule"], ruled["action"]) == ("huge", "block")
    assert server.ask("/v1/decisions/e5?shadow=true")[2]["shadow"] == [], "it was decided before there was a challenger"
    assert "shadow" not in server.ask("/v1/decisions/e20")[2] and server.ask("/v1/decisions/e20?shadow=x")[0] == 422
    capsys.readouterr()
    cli("models", "show", 1, "--data", data, "--json")
    shadow = json.loads(capsys.readouterr().out)["shadow"]
    assert (shadow["running"], shadow["events"], shadow["differing"]) == (True, 100, 0)
    cli("models", "rollback", "--role", "challenger", "--yes", "--data", data)
    until(lambda: not shadows(server) and shown(server) == {}, PATIENCE_S)


def test_a_server_that_is_killed_takes_its_challenger_along(served):
    server, data = served
    cli("models", "promote", 1, "--role", "challenger", "--yes", "--data", data)
    until(lambda: bool(shadows(server)), PATIENCE_S)
    (pid,) = shadows(server)
    server.process.kill()
    server.end()
    until(lambda: not lives(pid))
    assert not children() & {pid}
