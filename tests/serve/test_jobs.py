"""`/v1/jobs` as a client meets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from http_servers import Server, steady
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.job_programs import children, lives, until

from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.config.job_kinds import KINDS, BadJob
from homeostat.config.job_requests import arguments_of, schema_of
from homeostat.records.job import JobState

EXPORT = {"kind": "export", "arguments": {"out": "exported"}}


class Keyed:
    """A server with keys, and the store of its jobs."""

    def __init__(self, folder: Path) -> None:
        keys = FileApiKeys(folder)
        self.secrets = {scope: keys.create(scope, [scope]) for scope in ("decide", "read", "operate")}
        self.server = Server(steady(folder), "--data", folder)
        self.jobs = SqliteJobs(folder)

    def ask(self, path: str, body: object = None, who: str = "operate", **more: str):
        """Looks are made with a key that may read."""
        secret = self.secrets[who if body is not None else "read"]
        return self.server.ask(path, body, authorization=f"Bearer {secret}", **more)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory) -> Iterator[Keyed]:
    found = Keyed(tmp_path_factory.mktemp("jobs"))
    yield found
    found.jobs.close()
    assert found.server.stop() == 0


pytestmark = pytest.mark.long


def test_a_job_is_submitted_looked_at_cancelled_and_retried(keyed: Keyed) -> None:
    status, head, job = keyed.ask("/v1/jobs", EXPORT)
    assert status == 201 and job["state"] == "queued" and job["arguments"] == ["--out=exported"]
    assert job["actor"].startswith("key ") and job["folder"] == ""
    place = head["location"]
    assert place == f"/v1/jobs/{job['id']}" and keyed.ask(place)[2] == job
    tag = keyed.ask(place)[1]["etag"]
    assert tag == f'"{job["revision"]}"' and keyed.ask(f"{place}:cancel", {}, if_match='"99"')[0] == 412
    assert keyed.ask(f"{place}:cancel", {}, if_match="x")[0] == 422
    status, _, cancelled = keyed.ask(f"{place}:cancel", {}, if_match=tag)
    assert status == 200 and cancelled["state"] == "cancelled" and cancelled["cancel"] == job["actor"]
    status, _, again = keyed.ask(f"{place}:retry", {})
    assert status == 200 and again["state"] == "queued"
    status, _, refused = keyed.ask(f"{place}:retry", {})
    assert status == 409 and "is queued" in refused["detail"] and refused["fix"]


def test_jobs_are_listed_by_cursor(keyed: Keyed) -> None:
    made = [keyed.ask("/v1/jobs", EXPORT)[2]["id"] for _ in range(5)]
    found, path = [], "/v1/jobs?state=queued&limit=2"
    page = keyed.ask(path)[2]
    while True:
        found += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        page = keyed.ask(f"{path}&cursor={page['next']}")[2]
    assert found[:5] == made[::-1] and len(set(found)) == len(found)
    for wrong in ("state=ready", "limit=0", "limit=x", "limit=501", "cursor=0", "limit=", "cursor=-1"):
        status, _, problem = keyed.ask(f"/v1/jobs?{wrong}")
        assert status == 422 and problem["fix"], wrong


def test_a_key_of_a_request_makes_it_one_job(keyed: Keyed) -> None:
    first = keyed.ask("/v1/jobs", EXPORT, idempotency_key="nightly")
    again = keyed.ask("/v1/jobs", EXPORT, idempotency_key="nightly")
    assert (first[0], again[0]) == (201, 200) and first[2]["id"] == again[2]["id"]
    other = {"kind": "export", "arguments": {"out": "elsewhere"}}
    assert keyed.ask("/v1/jobs", other, idempotency_key="nightly")[0] == 409
    assert keyed.ask("/v1/jobs", EXPORT, idempotency_key="ü" * 3)[0] == 422


def test_a_log_is_read_in_parts(keyed: Keyed) -> None:
    job = keyed.ask("/v1/jobs", EXPORT)[2]
    for waiting in keyed.jobs.list([JobState.QUEUED]):
        if waiting.id != job["id"]:
            keyed.jobs.move(waiting.asked_to_cancel("test", 1))
    run = keyed.jobs.claim("me", 1, {}, 1)
    assert run is not None and run.id == job["id"] and keyed.jobs.write(run, b"one\ntwo\n")
    place = f"/v1/jobs/{job['id']}/log"
    part = keyed.ask(f"{place}?limit=4")[2]
    assert part == {"offset": 0, "next": 4, "end": 8, "state": "running", "text": "one\n"}
    assert keyed.ask(f"{place}?offset=4")[2]["text"] == "two\n"
    asked = keyed.ask(f"/v1/jobs/{job['id']}:cancel", {})[2]
    assert asked["state"] == "running" and asked["cancel"]


def test_what_can_not_be_is_a_problem_with_a_fix(keyed: Keyed) -> None:
    for body in (
        {}, {"kind": "export"}, {"kind": 1, "arguments": {}}, {**EXPORT, "more": 1}, "export",
        {"kind": "shell", "arguments": {}}, {"kind": "export", "arguments": {"out": "/etc/passwd"}},
        {"kind": "export", "arguments": {"out": "../x"}}, {"kind": "export", "arguments": {"out": "a\nb"}},
        {"kind": "export", "arguments": {"out": "x", "config": "servers.yaml"}},
        {"kind": "replay", "arguments": {"app": "access", "events": "e.csv", "out": "data", "force": True}},
        {"kind": "train", "arguments": {"app": "access", "events": "e.csv", "until": "2026-02-30", "out": "b"}},
    ):  # fmt: skip
        status, head, problem = keyed.ask("/v1/jobs", body)
        assert status == 422 and problem["fix"] and head["content-type"] == "application/problem+json", body
    assert keyed.ask("/v1/jobs", b"{")[0] == keyed.ask("/v1/jobs", [EXPORT])[0] == 400
    assert keyed.ask("/v1/jobs", EXPORT, content_type="text/plain")[0] == 415
    for path in (
        "/v1/jobs/0",
        "/v1/jobs/99999999",
        "/v1/jobs/x",
        "/v1/jobs/1/",
        "/v1/jobs/1:do",
        "/v1/jobs/99999999/log",
    ):
        assert keyed.ask(path)[0] == 404, path
    status, head, _ = keyed.ask("/v1/jobs/1:cancel")
    assert status == 405 and head["allow"] == "POST"
    assert keyed.ask("/v1/jobs/1", {})[0] == 405


def test_looks_take_read_and_changes_take_operate(keyed: Keyed) -> None:
    for who in ("read", "decide"):
        for path in ("/v1/jobs", "/v1/jobs/1:cancel", "/v1/jobs/1:retry"):
            status, _, problem = keyed.ask(path, EXPORT, who)
            assert status == 403 and "operate" in problem["fix"], (who, path)
    secret = keyed.secrets["operate"]
    assert keyed.server.ask("/v1/jobs", authorization=f"Bearer {secret}")[0] == 403
    assert keyed.server.ask("/v1/jobs", EXPORT)[0] == 401


def test_without_keys_jobs_are_looked_at_and_not_changed(tmp_path: Path) -> None:
    server = Server(steady(tmp_path), "--data", tmp_path / "data")
    assert server.ask("/v1/jobs")[:3:2] == (200, {"jobs": [], "next": None})
    for path in ("/v1/jobs", "/v1/jobs/1:cancel"):
        status, _, problem = server.ask(path, EXPORT)
        assert status == 403 and "--scopes operate" in problem["fix"]
    assert server.stop() == 0


def test_a_server_that_keeps_nothing_has_no_jobs(tmp_path: Path) -> None:
    server = Server(steady(tmp_path))
    status, _, problem = server.ask("/v1/jobs")
    assert status == 404 and "--data" in problem["fix"] and "/v1/jobs" not in server.ask("/openapi.json")[2]["paths"]
    assert server.stop() == 0


def test_a_server_runs_jobs_beside_itself_which_end_with_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    secret = FileApiKeys(data).create("ops", ["operate"])
    server = Server(steady(tmp_path), "--data", data, "--jobs", "2")
    status, _, job = server.ask("/v1/jobs", {"kind": "export", "arguments": {"out": "x"}}, x_api_key=secret)
    assert status == 201
    with closing(SqliteJobs(data)) as jobs:
        until(lambda: jobs.get(job["id"]).state.over)
        assert jobs.get(job["id"]).state is JobState.FAILED  # It says which journal to export.
        assert "which journal" in jobs.get(job["id"]).error
    before = children(server.process.pid)
    assert len(before) == 1
    assert server.stop() == 0
    assert not any(lives(pid) for pid in before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_of_a_kind_allows_what_the_check_allows(kind: str) -> None:
    schema = schema_of(kind)
    values = {name: value_of(shape) for name, shape in schema["properties"].items()}
    needed = {name: values.pop(name) for name in schema["required"]}

    @given(st.fixed_dictionaries(needed, optional=values))
    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def allowed(named) -> None:
        words = arguments_of(kind, named)
        assert not any(word.startswith("/") or ".." in word.split("/") for word in words)

    allowed()
    with pytest.raises(BadJob, match="there is no ray"):
        arguments_of(kind, {"ray": "x"})


def value_of(shape: dict) -> st.SearchStrategy:
    """Values that a schema allows."""
    if shape["type"] == "boolean":
        return st.booleans()
    if shape["type"] == "integer":
        return st.integers(shape["minimum"], shape["maximum"])
    return st.from_regex(shape["pattern"], fullmatch=True)
