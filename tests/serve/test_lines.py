"""InfluxDB's line protocol over HTTP: its clients write to the server as to their own store."""

from __future__ import annotations

import base64
import gzip
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_servers import Server
from tests.support.fuzzing import PHASES, fuzz
from tests.support.hosts import SECOND_NS, T0_NS, hosts_file

from homeostat.adapters.disk.api_keys import FileApiKeys

T0 = T0_NS // SECOND_NS
GOOD = f"cpu,cpu=cpu-total,host=a usage_idle=90 {T0}\nmem,host=a used_percent=40i {T0}\n"
PLAIN = {"content_type": "text/plain; charset=utf-8"}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("hosts")
    server = Server(hosts_file(folder), "--data", folder / "data")
    yield server
    assert server.stop() == 0


def write(server: Server, text: str | bytes, path: str = "/write?db=telegraf&precision=s", **headers: str):
    body = text.encode() if isinstance(text, str) else text
    return server.ask(path, body, **{**PLAIN, **headers})


def counted(server: Server, name: str, **labels: str) -> float:
    shown = server.ask("/metrics")[2].decode()
    wanted = "{" + ",".join(f'{key}="{value}"' for key, value in {"app": "hosts", **labels}.items()) + "}"
    return float(next(line for line in shown.splitlines() if line.startswith(f"{name}{wanted}")).rpartition(" ")[2])


def test_lines_are_taken_and_their_step_is_decided(hosts: Server) -> None:
    status, headers, body = write(hosts, GOOD + f"cpu,cpu=cpu-total,host=a usage_idle=1 {T0 + 20}\n")
    assert (status, body) == (204, b"") and headers["x-influxdb-version"].startswith("homeostat-")
    assert "content-length" not in headers
    found = hosts.ask(f"/v1/decisions/hosts,host=a@{T0_NS}")[2]
    assert found["features"]["idle"]["value"] == 90.0 and found["features"]["used"]["value"] == 40.0


@pytest.mark.parametrize(
    ("path", "unit"),
    [("/write?precision=s", 1), ("/write?precision=ms", 1000), ("/api/v2/write?org=o&bucket=b&precision=us", 10**6),
     ("/write", 10**9), ("/write?db=x&precision=", 10**9), ("/write?precision=n", 10**9)],
)  # fmt: skip
def test_timestamps_are_in_the_unit_that_the_query_names(hosts: Server, path: str, unit: int) -> None:
    host = f"p{unit}" + "".join(filter(str.isalnum, path))
    text = "".join(f"mem,host={host} used_percent=7 {(T0 + at) * unit}\n" for at in (0, 20))
    assert write(hosts, text, path)[0] == 204
    assert hosts.ask(f"/v1/decisions/hosts,host={host}@{T0_NS}")[0] == 200


def test_gzip_is_unpacked_and_what_is_none_is_refused(hosts: Server) -> None:
    assert write(hosts, gzip.compress(GOOD.encode()), content_encoding="gzip")[0] == 204
    before = counted(hosts, "homeostat_metric_lines_total", end="bad")
    assert write(hosts, b"no gzip", content_encoding="gzip")[0] == 400
    assert write(hosts, GOOD, content_encoding="br")[0] == 415
    assert write(hosts, gzip.compress(bytes(9 << 20)), content_encoding="gzip")[0] == 413
    assert counted(hosts, "homeostat_metric_lines_total", end="bad") == before + 1


def test_a_bad_line_is_named_in_the_words_of_influxdb_and_its_neighbours_are_kept(hosts: Server) -> None:
    used = counted(hosts, "homeostat_metric_lines_total", end="used")
    bad = 'cpu,host="x y=\nmem,host=n used_percent="x"\n'
    status, headers, body = write(
        hosts, f"mem,host=n used_percent=1 {T0}\n{bad}mem,host=n used_percent=2 {T0 + 20}\n"
    )  # fmt: skip
    assert status == 400 and headers["content-type"] == "application/json"
    assert body["error"].startswith("partial write: unable to parse 'cpu,host=\"x y=': ")
    assert body["message"] == body["error"] and body["code"] == "invalid" and body["dropped"] == 2
    assert [line["line"] for line in body["lines"]] == [2, None] and "field type conflict" in body["error"]
    assert counted(hosts, "homeostat_metric_lines_total", end="used") == used + 2
    assert hosts.ask(f"/v1/decisions/hosts,host=n@{T0_NS}")[0] == 200


def test_lines_that_the_app_does_not_use_are_valid_and_counted(hosts: Server) -> None:
    unused = counted(hosts, "homeostat_metric_lines_total", end="unused")
    assert write(hosts, f"disk,host=a used=1 {T0}\n# a comment\n\n")[0] == 204
    assert counted(hosts, "homeostat_metric_lines_total", end="unused") == unused + 1
    assert write(hosts, "")[0] == 204


def test_what_is_asked_for_wrongly_is_refused(hosts: Server) -> None:
    assert write(hosts, GOOD, "/write?precision=days")[0] == 400
    assert hosts.ask("/write", None, "GET")[0] == 405
    for method in ("GET", "HEAD"):
        assert hosts.ask("/ping", None, method)[0] == 204


def test_an_app_without_metrics_says_so() -> None:
    server = Server("access")
    try:
        status, _, body = write(server, GOOD)
        assert status == 404 and "section `metrics`" in body["fix"]
    finally:
        assert server.stop() == 0


@pytest.mark.long
def test_a_key_is_shown_as_token_password_or_parameter(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    keys = FileApiKeys(data)
    secret, reads = keys.create("telegraf", ["decide"]), keys.create("grafana", ["read"])
    keys.close()
    server = Server(hosts_file(tmp_path), "--data", data)
    try:
        basic = base64.b64encode(f"telegraf:{secret}".encode()).decode()
        for shown in (f"Token {secret}", f"Basic {basic}", f"Bearer {secret}"):
            assert write(server, GOOD, authorization=shown)[0] == 204
        assert write(server, GOOD, f"/write?u=any&p={secret}")[0] == 204
        assert write(server, GOOD, f"/write?u=any&p={reads}")[0] == 403
        for shown in ("", "Token hs_000000000000_x", "Basic !", "Basic aGVsbG8="):
            assert write(server, GOOD, **({"authorization": shown} if shown else {}))[0] == 401
        assert write(server, GOOD, "/write?p=another", authorization=f"Token {secret}")[0] == 401
        assert server.ask("/v1/decide", {}, authorization=f"Token {secret}")[0] == 401  # Only for InfluxDB's clients.
        assert server.ask("/ping")[0] == 204
        assert not any(secret in line for line in server.said)
    finally:
        assert server.stop() == 0


@pytest.mark.long
def test_nothing_that_was_answered_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    app, data = hosts_file(tmp_path), tmp_path / "data"
    server = Server(app, "--data", data)
    for host in range(20):
        assert write(server, f"mem,host=k{host} used_percent={host} {T0}\n")[0] == 204
    server.stop(signal.SIGKILL)
    server = Server(app, "--data", data)
    try:
        text = "".join(f"mem,host=k{host} used_percent=0 {T0 + 20}\n" for host in range(20))
        assert write(server, text)[0] == 204
        for host in range(20):
            found = server.ask(f"/v1/decisions/hosts,host=k{host}@{T0_NS}")[2]
            assert found["features"]["used"]["value"] == host
    finally:
        assert server.stop() == 0


@PHASES
@pytest.mark.long
def test_the_document_of_an_app_with_metrics_holds(hosts: Server, tmp_path: Path, phase: str) -> None:
    chosen = ("--max-examples", "5", "--include-path-regex", "write|ping|/v1/metrics")
    fuzz(hosts.url, tmp_path, *chosen, "--phases", phase)
