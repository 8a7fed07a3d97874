"""Overview, alerts, figures of the process, features, fusion, feedback and the audit search, over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from http_servers import EVENT, Server, steady

from homeostat.adapters.disk.audit.growing import GrowingChain
from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.process.clock import SystemClock
from homeostat.checks.incidents import incident, signal
from homeostat.errors import Unavailable
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.statements import DECISION, Statement, StatementKind, checked

pytestmark = pytest.mark.long
PATHS = ("overview", "alerts", "health/system", "health/features", "fusion", "audit", "feedback/summary")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("figures")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    found = Server(steady(folder), "--data", folder / "data")
    for name in ("e1", "e2", "e3"):
        found.decide({**EVENT, "event_id": name})
    yield found
    if found.process.poll() is None:
        assert found.stop() == 0


def once(look: Callable[[], object | None]) -> object:
    """The first result that is not empty; a server that never has one is ended by the timeout of the suite."""
    while not (found := look()):
        continue
    return found


def test_the_overview_has_traffic_champion_incidents_and_switch(server: Server, folder: Path) -> None:
    with closing(SqliteIncidents(folder / "data")) as store:
        store.write([signal()], [replace(incident(), signals=(signal().id,))])
    found = server.ask("/v1/overview")[2]
    assert found["app"] == "access" and found["as_of"].endswith("Z") and found["unavailable"] == []
    assert found["champion"]["version"].startswith("access-") and found["canary"] is None
    assert found["incidents"]["open"] == 1 and found["incidents"]["newest"][0]["id"] == incident().id
    assert found["kill_switch"]["stopped"] is False and found["autonomy"]["level"] == "assisted"
    alerts = server.ask("/v1/alerts")[2]["alerts"]
    assert [one["id"] for one in alerts if one["kind"] == "incident"] == [incident().id]


def test_figures_of_the_process_come_after_two_looks(server: Server) -> None:
    (point, *_) = once(lambda: server.ask("/v1/health/system")[2]["points"])
    assert point["at"].endswith("Z") and point["memory_bytes"] > 10**6 and point["connections"] >= 0
    assert {"processor", "decisions_per_s", "errors_per_s"} <= point.keys()
    assert server.ask("/v1/health/system?from=2100-01-01")[2]["points"] == []
    assert server.ask("/v1/health/system?from=soon")[0] == 422
    assert server.ask("/v1/overview")[2]["traffic"]["decisions_per_s"] >= 0


def test_signals_on_fields_are_shown_with_the_field(server: Server, folder: Path) -> None:
    with closing(SqliteIncidents(folder / "data")) as store:
        made = signal()
        store.write([replace(made, id="s9", series=replace(made.series, node="field:value"))], [])
    found = {one["node"]: one for one in server.ask("/v1/health/features")[2]["features"]}
    assert found["field:value"]["still"] == 1 and found["field:value"]["signals"][0]["id"] == "s9"
    assert found["field:event_type"] == {
        "node": "field:event_type", "role": "field", "name": "event_type", "still": 0, "signals": []
    }  # fmt: skip


def test_the_fusion_shows_its_scorers(server: Server) -> None:
    found = server.ask("/v1/fusion")[2]
    assert [one["name"] for one in found["scorers"]] == ["rules"] and found["scorers"][0]["out"] is False


def test_feedback_is_counted_by_kind_source_and_day(server: Server, folder: Path) -> None:
    with closing(SqliteStatements(folder / "data")) as store:
        for value in (True, False, True, True, "unclear"):
            store.append(checked(Statement(StatementKind.FEEDBACK, DECISION, "e1", "useful", value, "desk", "carl")))
    found = server.ask("/v1/feedback/summary")[2]
    assert (found["number"], found["positive"], found["negative"], found["satisfaction"]) == (5, 3, 1, 0.75)
    assert found["improvement"] == 0.5 and [one["source"] for one in found["sources"]] == ["desk"]
    assert sum(one["number"] for one in found["days"]) == 5


def test_the_record_is_searched_by_who_what_and_when(server: Server, folder: Path) -> None:
    with closing(SqliteSettings(folder / "data", app="access", clock=SystemClock())) as store:
        for actor in ("ann", "bob"):
            store.append(Change(ChangeKind.LIST, "denied", {"entries": [actor]}, actor, "a test"), None)
    found = server.ask("/v1/audit?actor=ANN")[2]
    assert [(one["actor"], one["action"], one["object"]) for one in found["items"]] == [("ann", "list", "denied")]
    assert found["whole"] and found["chain"]["verified_to"] > 2 and found["chain"]["fault"] is None
    first = server.ask("/v1/audit?object=denied&limit=1")[2]
    second = server.ask(f"/v1/audit?object=denied&limit=1&cursor={first['next_cursor']}")[2]
    assert [page["items"][0]["actor"] for page in (first, second)] == ["bob", "ann"] and second["next_cursor"] is None
    assert server.ask("/v1/audit?from=2100-01-01")[2]["items"] == []


def test_a_chain_is_verified_a_line_at_a_time_and_a_changed_line_is_found(server: Server, folder: Path) -> None:
    lines = (folder / "data" / "audit.jsonl").read_bytes().splitlines(keepends=True)
    path = folder / "copy.jsonl"
    path.write_bytes(lines[0] + lines[1][:20])
    chain = GrowingChain(path)
    assert chain.state().lines == 1
    path.write_bytes(b"".join(lines[:3]))
    state = chain.state(patience_s=0.0)
    assert (state.lines, state.to_end) == (2, False) and chain.state().head == json.loads(lines[2])["hash"]
    path.write_bytes(b"".join(lines[:3]) + lines[2])
    assert chain.state().fault.startswith("line 4 says that it is line 3") and chain.state().lines == 3
    with pytest.raises(Unavailable, match="can't be read"):
        GrowingChain(folder / "nothing.jsonl").state()


def test_a_server_that_keeps_nothing_says_so_without_a_fault(tmp_path: Path) -> None:
    found = Server(steady(tmp_path))
    assert found.ask("/v1/overview")[2]["incidents"] is None
    assert found.ask("/v1/audit")[2] | {"as_of": ""} == {
        "items": [], "next_cursor": None, "whole": True, "chain": None, "as_of": ""
    }  # fmt: skip
    assert [found.ask(f"/v1/{path}")[0] for path in PATHS] == [200] * 6 + [404]
    assert found.stop() == 0


def test_a_fuzzer_finds_nothing_in_the_figures(server: Server, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--max-examples", "8",
        "--phases", "coverage,fuzzing", "--include-path-regex", f"^/v1/({'|'.join(PATHS)})$",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
