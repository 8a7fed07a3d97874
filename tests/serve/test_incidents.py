"""`/v1/incidents` and `/v1/signals` as people and their programs meet them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from http_servers import Server, steady

from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.checks.incidents import incident, signal
from homeostat.cli import main

pytestmark = pytest.mark.long
IDS = [f"{number:016x}" for number in range(1, 6)]


class Keyed:
    """A server with keys on a folder that has five incidents."""

    def __init__(self, folder: Path) -> None:
        self.folder, keys = folder, FileApiKeys(folder)
        self.secrets = {scope: keys.create(scope, [scope]) for scope in ("decide", "read", "operate")}
        self.secrets["admin"] = keys.create("admin", ["decide", "read", "operate"])
        with closing(SqliteIncidents(folder)) as store:
            for id in IDS:
                store.write([signal("a"), signal(id)], [incident(id)])
        self.server = Server(steady(folder), "--data", folder)

    def ask(self, path: str, body: object = None, who: str = "admin", **more: str):
        return self.server.ask(path, body, authorization=f"Bearer {self.secrets[who]}", **more)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory) -> Iterator[Keyed]:
    found = Keyed(tmp_path_factory.mktemp("incidents"))
    yield found
    if found.server.process.poll() is None:
        assert found.server.stop() == 0


def test_incidents_and_signals_come_in_pages(keyed: Keyed) -> None:
    for path, name in (("/v1/incidents?state=all&limit=2", "incidents"), ("/v1/signals?limit=2", "signals")):
        seen, cursor = [], ""
        while cursor is not None:
            status, _, page = keyed.ask(f"{path}{cursor and f'&cursor={cursor}'}", who="read")
            assert status == 200
            seen += [one["id"] for one in page[name]]
            cursor = page["next"]
        assert seen == (IDS[::-1] if name == "incidents" else [*IDS[:0:-1], IDS[0], "a"])


def test_one_incident_has_its_signals_suspects_and_an_etag(keyed: Keyed) -> None:
    status, head, one = keyed.ask(f"/v1/incidents/{IDS[4]}", who="read")
    assert status == 200 and head["etag"] == '"1"' and one["suspects"][0]["node"] == "field:amount"
    assert one["signals"][0]["id"] == "a" and one["history"][0]["actor"] == "homeostat" and one["findings"] == []
    assert keyed.ask(f"/v1/incidents/{IDS[4]}", who="read", if_none_match='"1"')[0] == 304


def test_a_close_needs_a_key_of_the_scope_and_the_revision_that_was_seen(keyed: Keyed) -> None:
    path, body = f"/v1/incidents/{IDS[0]}:close", {"reason": "mended", "actor": "ann"}
    assert keyed.ask(path, body, "read", if_match='"1"')[0] == 403
    assert keyed.ask(path, body)[0] == 428
    status, _, problem = keyed.ask(path, body, if_match='"7"')
    assert status == 412 and problem["found"]["revision"] == 1
    status, head, made = keyed.ask(path, body, if_match='"1"')
    assert status == 200 and head["etag"] == '"2"' and (made["phase"], made["reason"]) == ("closed", "mended")
    assert keyed.ask(path, body, if_match='"2"')[0] == 409
    history = keyed.ask(f"/v1/incidents/{IDS[0]}")[2]["history"]
    assert history[-1]["actor"].startswith("ann (key ")
    assert IDS[0] not in [one["id"] for one in keyed.ask("/v1/incidents")[2]["incidents"]]
    assert [one["id"] for one in keyed.ask("/v1/incidents?state=closed")[2]["incidents"]] == [IDS[0]]


def test_a_silence_has_an_end(keyed: Keyed) -> None:
    path = f"/v1/incidents/{IDS[1]}:silence"
    assert keyed.ask(path, {"reason": "known"}, if_match='"1"')[0] == 422
    status, _, made = keyed.ask(path, {"reason": "known", "for": "2h"}, if_match='"1"')
    assert status == 200 and made["silenced_until"] > made["updated"]


def test_a_silence_of_a_pattern_is_made_once_for_a_key_and_ended_by_those_who_saw_it(keyed: Keyed) -> None:
    path, body = "/v1/silences", {"node": "field:*", "for": "6h", "reason": "a migration", "actor": "ann"}
    assert keyed.ask(path, body, "read")[0] == 403
    status, head, made = keyed.ask(path, body, idempotency_key="k1")
    assert status == 201 and head["etag"] == '"1"' and made["actor"].startswith("ann (key ")
    assert (made["node"], made["kind"]) == ("field:*", "*") and made["until"] > made["from"]
    one = head["location"]
    status, _, again = keyed.ask(path, body, idempotency_key="k1")
    assert status == 200 and again == made
    for other in ({"for": "9h"}, {"reason": "another"}, {"node": "model:*"}, {"kind": "unit"}, {"actor": "bob"}):
        status, _, problem = keyed.ask(path, {**body, **other}, idempotency_key="k1")
        assert status == 409 and "k1" in problem["detail"] and "Idempotency-Key" in problem["fix"]
    assert keyed.ask(f"{one}:end", {"reason": "over"}, if_match='"1"', idempotency_key="k1")[0] == 409
    assert keyed.ask(one, who="read")[2] == made and keyed.ask(one, if_none_match='"1"')[0] == 304
    assert keyed.ask(path, who="read")[2] == {"silences": [made]}
    status, head, longer = keyed.ask(path, {**body, "for": "9h"})
    assert status == 200 and head["etag"] == '"2"' and longer["until"] > made["until"]
    assert keyed.ask(f"{one}:end", {"reason": "over"})[0] == 428
    status, _, problem = keyed.ask(f"{one}:end", {"reason": "over"}, if_match='"1"')
    assert status == 412 and problem["found"] == longer and problem["fix"]
    for _ in range(2):  # The answer to the first may be lost.
        status, _, ended = keyed.ask(f"{one}:end", {"reason": "over"}, if_match='"2"', idempotency_key="k2")
        assert status == 200 and (ended["reason"], ended["revision"]) == ("over", 3)
    assert ended["until"] < longer["until"] and keyed.ask(path)[2] == {"silences": []}
    assert keyed.ask(f"{one}:end", {"reason": "over"}, if_match='"3"')[0] == 409
    with closing(SqliteIncidents(keyed.folder)) as store:
        assert [(kept.id, kept.reason) for kept in store.silences()] == [(made["id"], "over")]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/silences/ffffffffffffffff", None, 404),
        ("/v1/silences/nothing", None, 404),
        ("/v1/silences/ffffffffffffffff:end", {"reason": "x"}, 404),
        ("/v1/silences/ffffffffffffffff", {"reason": "x"}, 405),
        ("/v1/silences", {"for": "1h", "reason": "x"}, 422),
        ("/v1/silences", {"node": " ", "for": "1h", "reason": "x"}, 422),
        ("/v1/silences", {"kind": 7, "for": "1h", "reason": "x"}, 422),
        ("/v1/silences", {"kind": "unit", "for": "long", "reason": "x"}, 422),
        ("/v1/silences", {"kind": "unit", "reason": "x"}, 422),
        ("/v1/silences", {"kind": "unit", "for": "1h", "reason": " "}, 422),
        ("/v1/silences", {"kind": "unit", "for": "1h", "reason": "x", "more": 1}, 422),
        ("/v1/incidents/ffffffffffffffff", None, 404),
        ("/v1/incidents/nothing", None, 404),
        ("/v1/incidents?state=odd", None, 422),
        ("/v1/incidents?limit=0", None, 422),
        ("/v1/signals?cursor=x", None, 422),
        (f"/v1/incidents/{IDS[2]}", {"reason": "x"}, 405),
        (f"/v1/incidents/{IDS[2]}:close", {"reason": " "}, 422),
        (f"/v1/incidents/{IDS[2]}:close", {"reason": 7}, 422),
        (f"/v1/incidents/{IDS[2]}:close", {"reason": "x", "more": 1}, 422),
        (f"/v1/incidents/{IDS[2]}:silence", {"reason": "x", "for": "long"}, 422),
    ],
)
def test_odd_requests_are_problems(keyed: Keyed, path: str, body: object, status: int) -> None:
    got, head, problem = keyed.ask(path, body, if_match='"1"')
    assert got == status == problem["status"] and problem["fix"] and head["content-type"] == "application/problem+json"
    if status == 404:
        assert "GET /v1/silences" in problem["fix"] or "GET /v1/incidents" in problem["fix"]
    if status == 422 and path == "/v1/silences":
        assert all(f'"{name}"' in problem["fix"] for name in ("node", "kind", "for", "reason"))


def test_all_faults_of_a_body_are_named_at_once(keyed: Keyed) -> None:
    body = {"node": " ", "kind": "units", "for": "long", "reason": 7, "actor": "a" * 101}
    status, _, problem = keyed.ask("/v1/silences", body)
    assert status == 422
    for fault in ("node is a pattern", "the nearest is unit", "reason is a sentence", "actor is a name", "for: "):
        assert fault in problem["detail"], fault
    status, _, problem = keyed.ask(f"/v1/incidents/{IDS[2]}:silence", {"for": 5, "actor": 5}, if_match='"1"')
    assert status == 422 and all(word in problem["detail"] for word in ("reason is", "actor is", "for: "))
    status, head, problem = keyed.ask(f"/v1/incidents/{IDS[2]}", {"reason": "x"})
    assert (status, head["allow"], problem["detail"]) == (405, "GET, HEAD", f"/v1/incidents/{IDS[2]} takes GET, HEAD")


def test_a_silence_of_a_node_that_the_app_has_not_is_made_with_a_warning(keyed: Keyed) -> None:
    body = {"node": "field:valu", "for": "1h", "reason": "x"}
    status, head, made = keyed.ask("/v1/silences", body)
    assert status == 201 and made["warnings"] == [
        "no signal is known at a node 'field:valu': the nearest is field:value"
    ]
    assert "warnings" not in keyed.ask(head["location"])[2]
    assert "warnings" not in keyed.ask("/v1/silences", {**body, "node": "field:value"})[2]


def test_the_document_names_them(keyed: Keyed) -> None:
    _, _, document = keyed.ask("/openapi.json", who="read")
    assert {"/v1/incidents", "/v1/incidents/{id}", "/v1/incidents/{id}:close", "/v1/signals", "/v1/silences"} <= set(
        document["paths"]
    )
    one = keyed.ask(f"/v1/incidents/{IDS[4]}")[2]
    schema = document["components"]["schemas"]
    assert set(one) == set(schema["Incident"]["properties"]) and set(one["signals"][0]) == set(
        schema["Signal"]["properties"]
    )


def test_a_server_without_a_folder_has_none() -> None:
    server = Server("access")
    assert server.ask("/v1/incidents")[0] == 404
    status, _, problem = server.ask("/v1/silences", {"kind": "unit", "for": "1h", "reason": "x"})
    assert status == 403 and "--scopes operate" in problem["fix"] and "--data FOLDER" in problem["fix"]
    assert server.stop() == 0


def test_a_server_whose_folder_keeps_no_key_yet_names_the_command_that_makes_one_there(tmp_path: Path) -> None:
    folder = tmp_path / "the state"
    server = Server("access", "--data", folder)
    status, _, problem = server.ask("/v1/silences", {"kind": "unit", "for": "1h", "reason": "x"})
    assert status == 403 and f"keys create NAME --scopes operate --data '{folder}'" in problem["fix"]
    words = shlex.split(problem["fix"].split("homeostat ")[1].split(";")[0])
    with pytest.raises(SystemExit) as made:
        main(words)
    assert made.value.code in (0, None) and len(FileApiKeys(folder).all()) == 1
    assert server.stop() == 0
