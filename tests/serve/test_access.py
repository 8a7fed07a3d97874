"""API keys as a client meets them: who is let in to what, how often, and what is logged of it where."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_servers import EVENT, Server, steady
from tests.support.fuzzing import fuzz

from homeostat.adapters.disk.api_keys import FILE, FileApiKeys

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

SECURE = ("x-content-type-options", "cache-control", "content-security-policy", "referrer-policy")


class Keyed:
    """A server with a store of keys."""

    def __init__(self, folder: Path) -> None:
        self.keys = FileApiKeys(folder)
        self.secrets = {scope: self.keys.create(scope, [scope]) for scope in ("decide", "read", "operate", "admin")}
        self.server = Server(steady(folder), "--data", folder)

    def ask(self, path: str, who: str | None, body: object = None, **more: str):
        headers = {} if who is None else {"authorization": f"Bearer {self.secrets.get(who, who)}"}
        return self.server.ask(path, body, **headers, **more)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory) -> Iterator[Keyed]:
    found = Keyed(tmp_path_factory.mktemp("keyed"))
    yield found
    assert found.server.stop() == 0
    said = "".join(found.server.said)
    assert not any(secret.rsplit("_", 1)[1] in said for secret in found.secrets.values())


ROUTES = [
    ("/v1/decide", EVENT, "decide"), ("/v1/outcomes", {"event_id": "1", "label": 1}, "decide"),
    ("/v1/decisions/1", None, "read"), ("/openapi.json", None, "read"), ("/metrics", None, "read"),
    ("/nowhere", None, "read"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "scope"), ROUTES, ids=[route[0] for route in ROUTES])
def test_each_route_takes_its_scope_and_admin_and_no_other(keyed: Keyed, path, body, scope) -> None:
    keyed.ask("/v1/decide", "admin", EVENT)
    for who in keyed.secrets:
        status, head, reply = keyed.ask(path, who, body)
        if who in (scope, "admin"):
            assert status == (404 if path == "/nowhere" else 200), (who, reply)
        else:
            assert status == reply["status"] == 403
            assert f"no scope {scope}" in reply["detail"] and scope in reply["fix"]
            assert f'error="insufficient_scope", scope="{scope}"' in head["www-authenticate"]
        assert all(head[name] for name in SECURE)


@pytest.mark.parametrize(("path", "body", "scope"), ROUTES, ids=[route[0] for route in ROUTES])
def test_nobody_gets_in_without_a_key(keyed: Keyed, path, body, scope) -> None:
    status, head, reply = keyed.ask(path, None, body)
    assert status == reply["status"] == 401 and "homeostat keys create" in reply["fix"]
    assert head["www-authenticate"] == 'Bearer realm="homeostat"'
    assert head["content-type"] == "application/problem+json"
    assert keyed.server.ask(path, method="DELETE")[0] == 401


def test_health_needs_no_key_and_says_little(keyed: Keyed) -> None:
    status, _, reply = keyed.ask("/healthz", None)
    assert status == 200 and set(reply) == {"status", "app", "version"}


def test_a_key_may_come_in_a_header_of_its_own(keyed: Keyed) -> None:
    assert keyed.server.ask("/openapi.json", x_api_key=keyed.secrets["read"])[0] == 200
    assert keyed.server.ask("/openapi.json", authorization=f"bearer  {keyed.secrets['read']}")[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        "Bearer", "Bearer ", "Bearer hs_000000000000_0", "Basic aHM6eA==", "hs", "Bearer \xff\xfe",
        "Bearer " + "x" * 9000, "Negotiate", "",
    ],
)  # fmt: skip
def test_what_is_no_live_key_is_refused(keyed: Keyed, sent: str) -> None:
    status, head, reply = keyed.server.ask("/openapi.json", authorization=sent)
    assert status == 401 and 'error="invalid_token"' in head["www-authenticate"]
    assert sent[7:] == "" or sent[7:] not in json.dumps(reply)


def test_two_keys_at_once_are_refused(keyed: Keyed) -> None:
    good = keyed.secrets["read"]
    assert keyed.server.ask("/openapi.json", authorization=f"Bearer {good}", x_api_key=good)[0] == 401


def test_a_revoked_and_an_expired_key_are_refused_while_running(keyed: Keyed) -> None:
    revoked = keyed.keys.create("revoked", ["read"])
    for seconds in (2, 8, 32, 128):  # The server looks for new keys now and then, seldom on a busy machine.
        expired = keyed.keys.create(f"for {seconds} s", ["read"], time.time_ns() + seconds * 10**9)
        if _within_s(lambda key=expired: keyed.ask("/openapi.json", key)[0] == 200, seconds):
            break
    else:
        pytest.fail("a new key does not let in")
    assert keyed.ask("/openapi.json", revoked)[0] == 200
    assert keyed.keys.revoke(revoked.split("_")[1])
    assert _within_s(lambda: keyed.ask("/openapi.json", revoked)[0] == 401, 180)
    assert _within_s(lambda: keyed.ask("/openapi.json", expired)[0] == 401, 180)


def test_a_key_has_its_rate(keyed: Keyed) -> None:
    secret = keyed.keys.create("slow", ["read"], rate=0.005)
    assert _within_s(lambda: keyed.ask("/openapi.json", secret)[0] == 200, 180)
    status, head, reply = keyed.ask("/openapi.json", secret)
    assert status == reply["status"] == 429 and "0.005 requests a second" in reply["detail"]
    assert 0 < int(head["retry-after"]) <= 200
    assert head["ratelimit-policy"] == '"key";q=1;w=200' and head["ratelimit"].startswith('"key";r=0;t=')
    assert keyed.ask("/openapi.json", "read")[0] == 200


def test_a_secret_in_the_wrong_place_is_not_repeated(keyed: Keyed) -> None:
    secret = keyed.secrets["admin"]
    for path in (
        f"/v1/{secret}",
        f"/v1/decisions/{secret}",
        f"/v1/decisions/1?explain={secret}",
        f"/metrics?key={secret}",
    ):
        _, head, reply = keyed.ask(path, "admin")
        assert secret not in (json.dumps(reply) if isinstance(reply, dict) else reply.decode())
        assert secret not in str(head)


def test_the_document_says_which_keys_are_needed(keyed: Keyed) -> None:
    _, _, reply = keyed.ask("/openapi.json", "read")
    assert set(reply["components"]["securitySchemes"]) == {"bearer", "header"}
    decide = reply["paths"]["/v1/decide"]["post"]
    assert decide["security"][0] == {"bearer": ["decide"]} and {"401", "403", "429"} <= decide["responses"].keys()
    assert reply["paths"]["/healthz"]["get"]["security"] == []


@pytest.mark.parametrize(
    ("by", "paths"), [("Authorization: Bearer ", "^/"), ("X-API-Key: ", "^/v1/(decide|outcomes|decisions)")]
)
def test_a_fuzzer_with_a_key_finds_nothing(keyed: Keyed, by: str, paths: str, tmp_path: Path) -> None:
    """Every check of schemathesis, with positive and negative data, stateful too: also that keys are not ignored.

    One function finds the key in either header, for all paths, so that a few paths show the second header. No schema
    says which changes fit the app and who was first, so tests/serve/test_settings.py, test_deployments.py,
    test_incidents.py and test_answers.py have those operations.
    """
    chosen = ["--max-examples", "5", "--include-path-regex", paths, "-H", by + keyed.secrets["admin"]]
    excluded = ("change_settings", "preview_settings", "close_incident", "silence_incident", "end_silence")
    for name in (*excluded, "approve_plan", "reject_plan", "edit_plan"):
        chosen += ["--exclude-operation-id", name]
    fuzz(keyed.server.url, tmp_path, *chosen, "--exclude-path-regex", "/v1/deployments")


def test_a_number_beyond_what_the_document_allows_is_refused(keyed: Keyed) -> None:
    document = keyed.ask("/openapi.json", "admin")[2]
    tried = 0
    for path, operations in document["paths"].items():
        for one in operations.get("get", {}).get("parameters", []):
            bounds = one["schema"]
            if one["in"] != "query" or bounds.get("type") != "integer":
                continue
            for wrong in (bounds["minimum"] - 1, bounds["maximum"] + 1):
                asked = re.sub("{[a-z]+}", "1", path) + f"?{one['name']}={wrong}"
                assert keyed.ask(asked, "admin")[0] in (404, 422), asked
                tried += 1
    assert tried >= 20


def test_keys_are_asked_for_from_the_first_one_made_and_then_always(tmp_path: Path) -> None:
    server = Server("access", "--data", tmp_path)
    assert server.ask("/openapi.json")[0] == 200
    secret = FileApiKeys(tmp_path).create("first", ["admin"])
    assert _within_s(lambda: server.ask("/openapi.json")[0] == 401, 180)
    (tmp_path / FILE).unlink()
    assert _within_s(lambda: server.ask("/openapi.json", authorization=f"Bearer {secret}")[0] == 401, 180)
    assert server.ask("/openapi.json")[0] == 401
    assert server.stop() == 0


def test_keys_in_postgresql_let_in(postgres) -> None:
    from homeostat.adapters.disk.api_keys import PostgresApiKeys

    keys = PostgresApiKeys(postgres.url)
    keys.prepare()
    secret = keys.create("till", ["decide"])
    server = Server("access", "--keys", HOMEOSTAT_SERVERS__JOURNAL=postgres.url)
    assert server.ask("/v1/decide", EVENT)[0] == 401
    assert server.ask("/v1/decide", EVENT, authorization=f"Bearer {secret}")[0] == 200
    keys.revoke(secret.split("_")[1])
    keys.close()
    assert _within_s(lambda: server.ask("/v1/decide", EVENT, authorization=f"Bearer {secret}")[0] == 401, 180)
    assert server.stop() == 0


def test_metrics_may_be_shown_apart_without_a_key(tmp_path: Path) -> None:
    from urllib.request import urlopen

    from homeostat.checks.servers.machine import free_port

    port = free_port()
    server = Server("access", "--data", tmp_path, "--keys", "--metrics-port", str(port), "--rate", "1")
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=240) as response:
        assert b"homeostat_" in response.read()
    assert server.ask("/metrics")[0] == 401
    assert server.stop() == 0


def test_all_clients_together_have_a_rate() -> None:
    server = Server("access", "--rate", "2")
    statuses = [server.ask("/v1/decide", EVENT)[0] for _ in range(12)]
    assert statuses[:2] == [200, 200] and 429 in statuses
    assert server.ask("/healthz")[0] == 200
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--host", "0.0.0.0"], "--tls-cert"),
        (["--host", "0.0.0.0", "--plain-http"], "where are the API keys"),
        (["--metrics-port", "0", "--metrics-host", "0.0.0.0"], "say --plain-http"),
        (["--keys"], "where are the API keys"),
        (["--tls-cert", "x.pem"], "both --tls-cert and --tls-key"),
        (["--client-ca", "x.pem"], "over TLS only"),
        (["--tls-cert", "none.pem", "--tls-key", "none.pem"], "none.pem can't be read"),
        (["--tls-cert", __file__, "--tls-key", __file__], "can't be used"),
        (["--workers", "2"], "servers.features and servers.journal"),
        (["--workers", "0"], "1 or more"),
        (["--rate", "-1"], "positive"),
        (["--request-timeout", "soon"], "not a duration"),
        (["--request-timeout", "0s"], "--request-timeout is from 1ms"),
        (["--idle-timeout", "0ms"], "--idle-timeout is from 1ms"),
        (["--idle-timeout", "900d"], "--idle-timeout is from 1ms to 1d"),
        (["--connections", "0"], "from 1 to"),
        (["--connections", "99999999999999999999"], "from 1 to"),
        (["--rate", "nan"], "positive"),
    ],
)
def test_what_can_not_be_is_said_in_one_sentence(arguments: list[str], says: str) -> None:
    command = [sys.executable, "-c", "from homeostat.cli import main; main()", "serve", "access", "--port", "0"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=240)
    lines = [line for line in done.stderr.splitlines() if "in memory" not in line and "warning" not in line]
    assert done.returncode == 1 and done.stdout == "" and len(lines) == 1
    assert lines[0].startswith("homeostat: ") and says in lines[0]


@pytest.mark.parametrize(("more", "status"), [(["--expose"], 200), (["--plain-http", "--no-keys"], 200)])
def test_an_open_door_is_said_to_be_open(more: list[str], status: int) -> None:
    server = Server("access", "--host", "0.0.0.0", *more)
    assert server.ask("/v1/decide", EVENT)[0] == status
    assert server.stop() == 0
    assert any("whoever reaches this address" in line for line in server.said)


def _within_s(holds, seconds: float) -> bool:
    """Whether something comes to hold."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
