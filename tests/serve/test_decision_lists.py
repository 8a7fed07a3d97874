"""`/v1/decisions`: lists in pages, their filters, exports that stream; `/v1/entities`: one entity as a whole."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_servers import EVENT, Server, steady

from homeostat.serve.routes.decision_exports import safe

pytestmark = pytest.mark.long
NAMES = [f"e{k}" for k in range(12)] + ["=1+1", "@SUM(1)", "-7", "\tx"]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("lists")
    path = steady(folder)
    lists = "    denied: {of: entity, entries: [{key: '1', until: '2100-01-01'}, '5']}\n"
    path.write_text(path.read_text().replace("    denied: {of: entity}\n", lists))
    found = Server(path, "--data", folder / "data")
    for k, name in enumerate(NAMES):
        moment = f"2026-01-30T12:{k:02d}:00Z"
        event = {**EVENT, "event_id": name, "entity_id": str(k % 3), "timestamp": moment}
        assert found.ask("/v1/decide", event)[0] == 200
    yield found
    if found.process.poll() is None:
        assert found.stop() == 0


def pages(server: Server, query: str) -> list[dict]:
    found, cursor = [], ""
    while cursor is not None:
        status, _, page = server.ask(f"/v1/decisions?limit=5&{query}{cursor and f'&cursor={cursor}'}")
        assert status == 200 and page["as_of"].endswith("Z")
        found += page["items"]
        cursor = page["next_cursor"]
    return found


def test_a_list_comes_in_pages_the_newest_first(server: Server) -> None:
    items = pages(server, "")
    assert [one["event_id"] for one in items] == NAMES[::-1]
    assert all(one["time"].endswith("Z") for one in items)
    recorded = server.ask("/v1/decisions/e3")[2]
    assert {**items[-4], "features": recorded["features"]} == {**recorded, "entities": {"entity": "0"}, "entry": 4}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("entity=entity:2", NAMES[2::3]), ("action=block", NAMES[1::3]), ("action=block&action=allow", NAMES),
        ("rule=denied", NAMES[1::3]), ("rule=", NAMES[0::3] + NAMES[2::3]), ("min_score=1.0", []),
        ("from=2026-01-30T12:02:00Z&to=2026-01-30T12:04:00Z", NAMES[2:4]), ("degraded=true", []),
        ("entity=entity:1&action=block&from=2026-01-30T12:05:00Z", NAMES[7::3]), ("version=none", []),
    ],
)  # fmt: skip
def test_each_filter_is_one_part_of_the_address(server: Server, query: str, wanted: list[str]) -> None:
    assert sorted(one["event_id"] for one in pages(server, query)) == sorted(wanted)


@pytest.mark.parametrize(
    "query",
    ["from=yesterday", "limit=0", "limit=501", "min_score=2", "min_score=nan", "degraded=perhaps", "entity=7", "raw=2",
     "entity=shop:7", "actions=allow", "limit=5&limit=6", "action=" + "x" * 101],
)  # fmt: skip
def test_a_filter_that_can_not_be_read_is_refused_and_none_is_left_out(server: Server, query: str) -> None:
    status, _, problem = server.ask(f"/v1/decisions?{query}")
    assert status == 422 and problem["fix"]


def test_a_cursor_counts_for_its_own_list_only(server: Server) -> None:
    cursor = server.ask("/v1/decisions?limit=2")[2]["next_cursor"]
    assert server.ask(f"/v1/decisions?limit=3&cursor={cursor}")[0] == 200
    for query in (f"action=allow&cursor={cursor}", f"cursor={cursor[:-2]}AA", "cursor=abc", "cursor=%C3%A9"):
        assert server.ask(f"/v1/decisions?{query}")[0] == 404


def test_an_export_has_the_rows_of_the_list_and_no_formula(server: Server) -> None:
    query = "from=2026-01-30T12:05:00Z"
    items = pages(server, query)
    status, headers, body = server.ask(f"/v1/decisions?{query}", accept="text/csv")
    rows = list(csv.DictReader(io.StringIO(body.decode())))
    assert status == 200 and headers["homeostat-filters"] == query and headers["homeostat-as-of"].endswith("Z")
    assert [row["event_id"] for row in rows] == [safe(one["event_id"]) for one in items]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for row in rows for cell in row.values())
    raw = server.ask(f"/v1/decisions?{query}&raw=1", accept="text/csv")[2].decode()
    assert [row["event_id"] for row in csv.DictReader(io.StringIO(raw))] == [one["event_id"] for one in items]
    lines = server.ask(f"/v1/decisions?{query}", accept="application/x-ndjson")[2]
    assert [json.loads(line) for line in lines.splitlines()] == items
    assert server.ask("/v1/decisions", accept="image/png")[0] == 406
    assert server.ask("/v1/decisions?limit=5", accept="text/csv")[0] == 422


def test_an_entity_has_its_decisions_and_the_lists_that_it_is_on(server: Server) -> None:
    found = server.ask("/v1/entities/entity/1")[2]
    assert (found["decisions"], found["actions"]) == (len(NAMES[1::3]), {"block": len(NAMES[1::3])})
    assert (found["first"], found["last"]) == ("2026-01-30T12:01:00Z", "2026-01-30T12:13:00Z")
    assert found["lists"] == [{"list": "denied", "until": "2100-01-01T00:00:00Z", "source": "the app file"}]
    nobody = server.ask("/v1/entities/entity/nobody%2Fhere")[2]
    assert (nobody["id"], nobody["decisions"], nobody["lists"], nobody["last"]) == ("nobody/here", 0, [], None)
    assert server.ask("/v1/entities/shop/1")[0] == server.ask("/v1/entities/entity/")[0] == 404


def test_a_server_that_keeps_nothing_lists_the_decisions_in_its_memory(tmp_path: Path) -> None:
    found = Server(steady(tmp_path))
    assert found.ask("/v1/decisions")[2]["items"] == []
    for name in NAMES[:3]:
        found.decide({**EVENT, "event_id": name})
    assert [one["event_id"] for one in pages(found, "")] == NAMES[2::-1]
    assert found.ask("/v1/entities/entity/7")[2]["decisions"] == 3
    assert found.stop() == 0


def test_a_fuzzer_finds_nothing_in_the_lists(server: Server, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--max-examples", "15",
        "--phases", "coverage,fuzzing", "--include-path-regex", "^/v1/(decisions|stream|entities/.*)$",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
