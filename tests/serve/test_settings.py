"""Settings over HTTP: looked at, previewed, changed and undone, each by the key that may."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from http_servers import Server
from tests.support.fuzzing import ANY_DATA, PHASES, fuzz

from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.checks.registry import bundle_in
from homeostat.checks.settings import threshold
from homeostat.ports.keys import ApiKeys
from homeostat.ports.registry import Lineage
from homeostat.records.change_rows import checked

HIGHER = {"kind": "threshold", "scope": "block", "body": {"at": 0.9}, "reason": "too many"}


class Asker:
    """A server with a folder, and a key for each scope."""

    def __init__(self, folder: Path, app: str = "access") -> None:
        self.folder = folder
        self._keyed(FileApiKeys(folder))
        self.server = Server(app, "--data", folder)

    @classmethod
    def of(cls, keys: ApiKeys, starts: Callable[[], Server]) -> Asker:
        """Of any server, which is started once there are keys."""
        asker = cls.__new__(cls)
        asker._keyed(keys)
        asker.server = starts()
        return asker

    def _keyed(self, keys: ApiKeys) -> None:
        self.secrets = {scope: keys.create(scope, [scope]) for scope in ("read", "operate", "admin")}

    def ask(self, path: str, body: Any = None, by: str = "admin", method: str | None = None, **headers: str):
        """Status, headers and JSON of a request."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.server.url + path, data, method=method)
        request.add_header("authorization", f"Bearer {self.secrets[by]}")
        request.add_header("content-type", "application/json")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=240) as reply:
                text = reply.read()
                return reply.status, reply.headers, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
                return error.code, error.headers, json.loads(text) if text else None


@pytest.fixture(scope="module")
def asker(tmp_path_factory) -> Iterator[Asker]:
    asker = Asker(tmp_path_factory.mktemp("settings"))
    yield asker
    assert asker.server.stop() == 0


@pytest.fixture
def tag(asker) -> str:
    """The ETag of the settings as they are."""
    return asker.ask("/v1/settings")[1]["etag"]


def test_a_change_is_previewed_confirmed_listed_and_undone(asker):
    status, _, preview = asker.ask("/v1/settings:preview", HIGHER)
    assert status == 200 and preview["change"]["number"] is None and preview["change"]["body"] == {"at": 0.9}
    before = asker.ask("/v1/settings")[2]["last"]
    status, head, made = asker.ask("/v1/settings", {**HIGHER, "confirm": preview["confirm"]})
    assert (status, made["number"], head["location"]) == (201, before + 1, f"/v1/settings/{made['number']}")
    assert made["actor"] == f"key {asker.secrets['admin'].split('_')[1]}" and made["reason"] == "too many"
    status, _, found = asker.ask("/v1/settings?in_force=true", by="read")
    assert (status, [one["number"] for one in found["changes"] if one["scope"] == "block"]) == (200, [made["number"]])
    status, head, found = asker.ask(f"/v1/settings/{made['number']}", by="read")
    assert (status, found["last_of_scope"], head["etag"]) == (200, made["number"], f'"{made["number"]}"')
    status, _, undone = asker.ask(f"/v1/settings/{made['number']}:undo", {"reason": "no", "actor": "ann"}, by="operate")
    assert (status, undone["reverts"], undone["body"]) == (201, made["number"], preview["change"]["before"])
    assert undone["actor"].startswith("ann (key ")
    status, _, problem = asker.ask(f"/v1/settings/{made['number']}:undo", {})
    assert (status, problem["found"]["number"]) == (409, undone["number"]) and problem["fix"]
    with closing(SqliteSettings(asker.folder)) as settings:
        assert [one.number for one in settings.since(before)] == [made["number"], undone["number"]]


def test_a_preview_of_another_state_or_change_does_not_confirm(asker):
    token = asker.ask("/v1/settings:preview", HIGHER)[2]["confirm"]
    assert asker.ask("/v1/settings", {**HIGHER, "body": {"at": 0.1}, "confirm": token})[0] == 409
    assert asker.ask("/v1/settings", {**HIGHER, "confirm": token})[0] == 201
    status, _, problem = asker.ask("/v1/settings", {**HIGHER, "confirm": token})
    assert (status, problem["title"]) == (409, "Not as previewed")
    again = asker.ask("/v1/settings:preview", HIGHER)[2]
    assert again["confirm"] != token and again["last_of_scope"]["body"] == {"at": 0.9}


def test_of_two_authors_the_second_sees_the_change_of_the_first(asker, tag):
    assert asker.ask("/v1/settings", HIGHER, if_match=tag)[0] == 201
    status, _, problem = asker.ask("/v1/settings", {**HIGHER, "body": {"at": 0.5}}, if_match=tag)
    assert status == problem["status"] == 412
    assert problem["found"]["body"] == {"at": 0.9} and "was changed meanwhile" in problem["detail"] and problem["fix"]
    other = {"kind": "learning", "scope": "policy", "body": {"on": False}, "reason": "odd labels"}
    assert asker.ask("/v1/settings", other, if_match=tag)[0] == 201  # Another scope, which nobody changed since.
    status, _, problem = asker.ask("/v1/settings", HIGHER)
    assert (status, problem["title"]) == (428, "Precondition missing")


def test_a_key_makes_a_change_once(asker, tag):
    first = asker.ask("/v1/settings", HIGHER, if_match=tag, idempotency_key="once")
    again = asker.ask("/v1/settings", HIGHER, if_match=tag, idempotency_key="once")
    assert (first[0], again[0]) == (201, 200) and again[2] == first[2]
    status, _, problem = asker.ask(
        "/v1/settings", {**HIGHER, "body": {"at": 0.3}}, if_match=tag, idempotency_key="once"
    )
    assert (status, problem["title"]) == (409, "Conflict")


def test_nothing_new_is_304_and_pages_follow_each_other(asker, tag):
    asker.ask("/v1/settings", HIGHER, if_match=tag)
    asker.ask("/v1/settings", {**HIGHER, "body": {"at": 0.7}}, if_match=asker.ask("/v1/settings")[1]["etag"])
    _, head, whole = asker.ask("/v1/settings?limit=500")
    assert asker.ask("/v1/settings", if_none_match=head["etag"])[0] == 304
    assert asker.ask("/v1/settings", if_none_match='"0"')[0] == 200
    pages, cursor = [], ""
    while True:
        page = asker.ask(f"/v1/settings?limit=1{cursor}")[2]
        pages += page["changes"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert pages == whole["changes"] and len(pages) == whole["last"] >= 2
    assert asker.ask("/v1/settings?at=2020-01-01")[2]["changes"] == []
    assert asker.ask("/v1/settings?at=2099-01-01")[2] == asker.ask("/v1/settings?in_force=true")[2]


def test_a_change_by_the_command_line_is_seen_at_once(asker):
    with closing(SqliteSettings(asker.folder)) as settings:
        made = settings.append(checked(threshold(0.33, "cli")), None)
    assert asker.ask("/v1/settings")[2]["changes"][0]["number"] == made.number


def test_every_fault_of_a_change_is_named_with_its_place(asker, tag):
    wrong = {"kind": "rule", "scope": "Big", "body": {"when": "valeu > 1", "action": "blok"}, "reason": "?"}
    status, _, problem = asker.ask("/v1/settings", wrong, if_match=tag)
    assert status == 422 and {error["field"] for error in problem["errors"]} == {"scope", "body.name"}
    status, _, problem = asker.ask("/v1/settings:preview", {**wrong, "scope": "big"})
    assert {(error["field"], error["value"]) for error in problem["errors"]} == {
        ("body.when", "value"), ("body.action", "block"),
    }  # fmt: skip
    status, _, problem = asker.ask("/v1/settings:preview", {"kind": "treshold", "scope": 7, "expires": "soon"})
    fields = [error["field"] for error in problem["errors"]]
    assert (status, sorted(fields)) == (422, ["body", "expires", "kind", "reason", "scope"])


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/settings", [HIGHER], {}, 422), ("/v1/settings", {**HIGHER, "more": 1}, {}, 422),
        ("/v1/settings", b"{", {}, 400), ("/v1/settings", HIGHER, {"if_match": "x"}, 422),
        ("/v1/settings", HIGHER, {"if_match": '"0"', "idempotency_key": "a b"}, 422),
        ("/v1/settings", HIGHER, {"content_type": "text/plain"}, 415),
        ("/v1/settings", {**HIGHER, "reason": ""}, {"if_match": '"9999"'}, 422),
        ("/v1/settings?limit=0", None, {}, 422), ("/v1/settings?cursor=x", None, {}, 422),
        ("/v1/settings?at=soon", None, {}, 422), ("/v1/settings?in_force=x", None, {}, 422),
        ("/v1/settings?at=2026-01-01&in_force=-6.06e+16", None, {}, 422), ("/v1/settings?in_force=1", None, {}, 422),
        ("/v1/settings/999999", None, {}, 404), ("/v1/settings/x", None, {}, 404),
        ("/v1/settings/999999:undo", {}, {}, 404), ("/v1/settings/1:undo", None, {}, 405),
        ("/v1/settings/1", {}, {}, 405), ("/v1/settings:preview", None, {}, 405),
        ("/v1/settings/1:undo", {"reason": 7}, {}, 422),
    ],
)  # fmt: skip
def test_what_can_not_be_is_a_problem_with_a_fix(asker, path, body, headers, status):
    found, head, problem = asker.ask(path, body, **headers)
    assert (found, head["content-type"]) == (status, "application/problem+json") and problem["fix"]


def test_a_deployment_names_a_version_that_is_there_and_in_full(asker, tag, tmp_path):
    wish = {"kind": "deploy", "scope": "challenger", "body": {"version": "../x"}, "reason": "try"}
    for path in ("/v1/settings", "/v1/settings:preview"):
        status, _, problem = asker.ask(path, wish, if_match=tag)
        assert status == 422 and "there is no version '../x'" in problem["detail"] and problem["fix"]
    with closing(SqliteRegistry(asker.folder)) as registry:
        name = registry.put(bundle_in(tmp_path, 1, "access"), Lineage("access")).version
        status, _, made = asker.ask("/v1/settings", {**wish, "body": {"version": "1"}}, if_match=tag)
        assert (status, made["body"]) == (201, {"version": name})
        undone = asker.ask(f"/v1/settings/{made['number']}:undo", {})[2]["number"]
        registry.delete("1", "ann", "no use")
    status, _, problem = asker.ask(f"/v1/settings/{undone}:undo", {})
    assert status == 422 and "was deleted by ann" in problem["detail"]


def test_only_a_key_that_may_operate_changes_anything(asker):
    for path, body in (("/v1/settings", HIGHER), ("/v1/settings:preview", HIGHER), ("/v1/settings/1:undo", {})):
        status, _, problem = asker.ask(path, body, by="read")
        assert (status, problem["title"]) == (403, "Scope missing") and "operate" in problem["fix"]
    assert asker.ask("/v1/settings", by="operate")[0] == 403  # To look takes `read`.


def test_without_keys_settings_are_looked_at_and_not_changed(tmp_path):
    server = Server("access", "--data", tmp_path)
    try:
        with urllib.request.urlopen(server.url + "/v1/settings") as reply:
            assert json.loads(reply.read()) == {"last": 0, "changes": [], "next": None}
        request = urllib.request.Request(
            server.url + "/v1/settings", json.dumps(HIGHER).encode(), {"content-type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        with caught.value as error:
            assert error.code == 403 and "homeostat keys create" in json.loads(error.read())["fix"]
        with closing(SqliteSettings(tmp_path)) as settings:
            assert settings.since(0) == []
    finally:
        assert server.stop() == 0


@PHASES
@pytest.mark.long
def test_a_fuzzer_that_may_change_settings_brings_about_no_fault(asker, tmp_path, phase):
    """The checks on which data must be taken are off: no schema says which expressions compile, or who was first."""
    key = f"X-API-Key: {asker.secrets['admin']}"
    chosen = ("--include-path-regex", "/v1/settings", "--max-examples", "10", "-H", key)
    fuzz(asker.server.url, tmp_path, *chosen, "--phases", phase, *ANY_DATA)
