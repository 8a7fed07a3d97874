"""`/v1/questions` and `/v1/feedback` as people and their programs meet them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_servers import EVENT as ANY
from http_servers import Server, steady
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.fuzzing import ANY_DATA, PHASES, fuzz

from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.cli import main

EVENT = {**ANY, "event_id": "e/1"}
SECRET_WORDS = "my number is 0151 23456"

pytestmark = pytest.mark.long


class Keyed:
    """A server with keys on a folder, which has decided one event."""

    def __init__(self, folder: Path) -> None:
        self.folder, keys = folder, FileApiKeys(folder)
        self.secrets = {scope: keys.create(scope, [scope]) for scope in ("decide", "read", "operate")}
        self.secrets["admin"] = keys.create("admin", ["decide", "read", "operate"])
        self.server = Server(steady(folder), "--data", folder)
        assert self.ask("/v1/decide", EVENT, "decide")[2]["action"]

    def ask(self, path: str, body: object = None, who: str = "operate", **more: str):
        return self.server.ask(path, body, authorization=f"Bearer {self.secrets[who]}", **more)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory) -> Iterator[Keyed]:
    found = Keyed(tmp_path_factory.mktemp("statements"))
    yield found
    if found.server.process.poll() is None:
        assert found.server.stop() == 0


def cli(capsys, *arguments) -> dict:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    assert ended.value.code == 0
    return json.loads(capsys.readouterr().out)


def test_a_question_is_asked_once_answered_once_and_found(keyed: Keyed, capsys) -> None:
    asked = {"text": f"Why was I asked again?\n{SECRET_WORDS}", "contact": "ann@example.com"}
    path = "/v1/decisions/e/1/question"
    status, head, made = keyed.ask(path, asked, "decide", idempotency_key="q1")
    assert status == 201 and made["decision"] == "e/1" and made["answer"] is None and made["actor"].startswith("key ")
    again = keyed.ask(path, asked, "decide", idempotency_key="q1")
    assert (again[0], again[2]["number"]) == (200, made["number"])
    assert keyed.ask(path, {"text": "else"}, "decide", idempotency_key="q1")[0] == 409
    place = head["location"]
    assert keyed.ask(place)[2] == made == keyed.ask("/v1/questions?open=true")[2]["questions"][0]
    given = {"verdict": "changed", "text": "We were wrong.", "actor": "Eve"}
    status, _, answer = keyed.ask(f"{place}/answer", given)
    assert status == 201 and answer["verdict"] == "changed" and answer["actor"].startswith("Eve (key ")
    status, _, problem = keyed.ask(f"{place}/answer", {"verdict": "upheld", "text": "No."})
    assert status == 409 and "answer" in problem["detail"] and problem["fix"]
    assert keyed.ask(place)[2]["answer"] == answer
    assert keyed.ask("/v1/questions?open=true")[2]["questions"] == []
    listed = cli(capsys, "questions", "list", "--state", "answered", "--data", keyed.folder, "--json")["questions"]
    assert listed == keyed.ask("/v1/questions?open=false")[2]["questions"]
    with pytest.raises(SystemExit):
        main(["questions", "answer", str(made["number"]), "--verdict", "upheld", "--text", "x", "--data",
              str(keyed.folder)])  # fmt: skip
    assert "has answer" in capsys.readouterr().err


def test_the_words_are_in_no_log_and_no_trail_and_the_trail_covers_them(keyed: Keyed, capsys) -> None:
    keyed.ask("/v1/decisions/e/1/question", {"text": SECRET_WORDS, "contact": SECRET_WORDS}, "decide")
    keyed.ask("/v1/decisions/e/1/question", {"text": SECRET_WORDS, "contact": SECRET_WORDS + "\n"}, "decide")
    assert keyed.server.stop() == 0
    for path in keyed.folder.iterdir():
        if path.is_file() and not path.name.startswith("statements.db"):
            assert SECRET_WORDS.encode() not in path.read_bytes(), path
    assert SECRET_WORDS not in "".join(keyed.server.said)
    kinds = [json.loads(line)["kind"] for line in (keyed.folder / "audit.jsonl").read_text().splitlines()]
    assert "statements" in kinds
    with pytest.raises(SystemExit) as stopped:
        main(["audit", "verify", str(keyed.folder)])
    assert stopped.value.code == 0 and "statements.db" in capsys.readouterr().out
    keyed.server = Server(keyed.folder / "app.yaml", "--data", keyed.folder)


def test_feedback_is_taken_and_scored(keyed: Keyed, capsys) -> None:
    one = {"decision": "e/1", "kind": "label", "value": True, "text": "it was a thief", "source": "desk"}
    status, _, made = keyed.ask("/v1/feedback", one, "decide", idempotency_key="f1")
    assert status == 201 and made["value"] is True and made["decision"] == "e/1"
    assert keyed.ask("/v1/feedback", one, "decide", idempotency_key="f1")[0] == 200
    assert keyed.ask("/v1/feedback", {**one, "source": "app", "value": False}, "decide")[0] == 201
    rating = {"version": "a1", "kind": "rating", "value": 4, "source": "app"}
    assert keyed.ask("/v1/feedback", rating, "decide")[0] in (201, 404)  # There is no such version.
    listed = cli(capsys, "feedback", "list", "--data", keyed.folder, "--json")["feedback"]
    first = next(item for item in listed if item["number"] == made["number"])
    assert (first["history"], first["agrees_outcome"], first["agrees_others"]) == (0.5, None, 0.0)
    assert first["quality"] == 0.25 and 0 < first["priority"] <= 0.25
    assert cli(capsys, "feedback", "show", made["number"], "--data", keyed.folder, "--json") == first
    found = cli(capsys, "feedback", "summary", "--data", keyed.folder, "--json")
    assert {kind["kind"] for kind in found["kinds"]} >= {"label"} and found["feedback"] == len(listed)
    page = keyed.ask("/v1/feedback?limit=1")[2]
    assert page["next"] == page["feedback"][0]["number"]


@pytest.mark.parametrize(
    ("path", "body", "who", "status"),
    [
        ("/v1/decisions/nowhere/question", {"text": "why"}, "decide", 404),
        ("/v1/decisions/e/1/question", {}, "decide", 422),
        ("/v1/decisions/e/1/question", {"text": " "}, "decide", 422),
        ("/v1/decisions/e/1/question", {"text": "x" * 4001}, "decide", 422),
        ("/v1/decisions/e/1/question", {"text": "x", "more": 1}, "decide", 422),
        ("/v1/decisions/e/1/question", {"text": "x"}, "read", 403),
        ("/v1/decisions/e/1", {"text": "x"}, "operate", 403),
        ("/v1/questions", None, "read", 403),
        ("/v1/questions/0", None, "operate", 404),
        ("/v1/questions/999999", None, "operate", 404),
        ("/v1/questions/999999/answer", {"verdict": "upheld", "text": "x"}, "operate", 404),
        ("/v1/questions/1/answer", {"verdict": "maybe", "text": "x"}, "operate", 422),
        ("/v1/questions/1/answer", {"verdict": "upheld", "text": "x", "expected": -1}, "operate", 422),
        ("/v1/questions/1/answer", {"verdict": "upheld", "text": "x", "expected": 0.5}, "operate", 422),
        ("/v1/questions/1/answer", {"verdict": "upheld", "text": "x", "expected": 99.0}, "operate", 409),
        ("/v1/questions?open=yes", None, "operate", 422),
        ("/v1/feedback", {"kind": "label", "source": "x"}, "decide", 422),
        ("/v1/feedback", {"decision": "e/1", "version": "v", "kind": "label", "source": "x"}, "decide", 422),
        ("/v1/feedback", {"decision": "gone", "kind": "label", "source": "x"}, "decide", 404),
        ("/v1/feedback", {"decision": "e/1", "kind": "Label", "source": "x"}, "decide", 422),
        ("/v1/feedback", {"decision": "e/1", "kind": "label", "value": {}, "source": "x"}, "decide", 422),
        ("/v1/feedback", {"decision": "e/1", "kind": "label", "value": 10**400, "source": "x"}, "decide", 422),
        ("/v1/feedback", [], "decide", 422),
    ],
)
def test_what_can_not_be_taken_is_a_problem_with_a_remedy(keyed: Keyed, path, body, who, status) -> None:
    found, _, problem = keyed.ask(path, body, who)
    assert found == status and problem["detail"] and problem["fix"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200), value=st.none() | st.booleans() | st.integers() | st.text(max_size=300))
def test_hostile_words_never_break_the_server(keyed: Keyed, text, value) -> None:
    for path, body in (
        ("/v1/decisions/e/1/question", {"text": text, "contact": text}),
        ("/v1/feedback", {"decision": "e/1", "kind": "note", "value": value, "text": text, "source": text}),
    ):
        status, _, answer = keyed.ask(path, body, "decide")
        assert status in (201, 422, 429)
        if status == 201:
            assert answer["text"] == text


def test_more_than_people_write_is_refused(keyed: Keyed) -> None:
    """All in one piece, so that the server never waits for a client that is slow on a busy machine."""
    body = json.dumps({"decision": "e/1", "kind": "note", "source": "loop"})
    fields = f"host: localhost\r\ncontent-type: application/json\r\nx-api-key: {keyed.secrets['decide']}\r\n"
    one = f"POST /v1/feedback HTTP/1.1\r\n{fields}content-length: {len(body)}\r\n\r\n{body}"
    last = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    answers = keyed.server.raw((one * 400 + last).encode()).lower()
    assert answers.count(b"http/1.1 ") == 401
    refused = answers.partition(b"http/1.1 429 ")[2].partition(b"\r\n\r\n")[0]
    assert b"retry-after: " in refused


@PHASES
def test_a_fuzzer_finds_nothing(keyed: Keyed, tmp_path: Path, phase: str) -> None:
    paths, key = "/v1/(questions|feedback|decisions/.*question)", f"X-API-Key: {keyed.secrets['admin']}"
    chosen = ("--include-path-regex", paths, "--max-examples", "15", "-H", key)
    fuzz(keyed.server.url, tmp_path, *chosen, "--phases", phase, *ANY_DATA)
