"""A page of another site reaches no route through its reader's browser, by a name of its own or as its origin."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from http_servers import EVENT, Server, parsed

from homeostat.config.hosts import Hosts
from homeostat.serve.routes.table import ROUTES


@pytest.fixture(scope="module")
def named() -> Iterator[Server]:
    server = Server(
        "access", "--allow-host", "risk.example.com", "--allow-host", "*.internal", HOMEOSTAT_ALLOW_HOSTS="a.b, c"
    )
    yield server
    assert server.stop() == 0


def asked(server: Server, path: str, method: str, *fields: str, body: bytes = b"") -> tuple[int, object]:
    lines = [f"{method} {path} HTTP/1.1", *fields, "connection: close", f"content-length: {len(body)}", "", ""]
    answer = server.raw("\r\n".join(lines).encode() + body)
    status = int(answer.split()[1])
    return status, None if method == "HEAD" or status == 204 else parsed(answer)[2]


@pytest.mark.parametrize("path", sorted(ROUTES))
def test_every_route_refuses_foreign_hosts_and_origins(named: Server, path: str) -> None:
    for method in ROUTES[path].methods:
        foreign = asked(named, path, method, f"host: evil.example:{named.port}")
        posted = asked(
            named, path, method, "host: localhost", "origin: http://evil.example", "content-type: text/plain"
        )
        assert (foreign[0], posted[0]) == (421, 403), (path, method)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost:1", "LOCALHOST.", "[::1]:8080", "app.localhost", "127.0.0.2", "risk.example.com",
     "Risk.Example.com:443", "x.y.internal", "a.b", "c:80"],
)  # fmt: skip
def test_own_and_allowed_hosts_are_let_in(named: Server, host: str) -> None:
    assert asked(named, "/healthz", "GET", f"host: {host}")[0] == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil", "10.0.0.1", "internal", "xinternal", "localhost.evil.example", "127.0.0.1.nip.io",
     "risk.example.com.evil.example", "127.0.0.1@evil.example", "[::1", "127.1", "0.0.0.0"],
)  # fmt: skip
def test_other_hosts_are_refused(named: Server, host: str) -> None:
    status, problem = asked(named, "/healthz", "GET", f"host: {host}")
    assert status == 421 and isinstance(problem, dict) and "--allow-host" in problem["fix"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost:{port}", 200), ("http://127.0.0.1:{port}", 200), ("https://risk.example.com", 200),
     ("http://localhost:1", 403), ("http://localhost", 403), ("https://evil.example", 403), ("null", 403),
     ("http://evil.example:{port}", 403), ("file://", 403), ("localhost:{port}", 403), ("", 403)],
)  # fmt: skip
def test_pages_send_only_from_here_or_an_allowed_name(named: Server, origin: str, status: int) -> None:
    body = json.dumps({**EVENT, "event_id": "page"}).encode()
    fields = (
        f"host: localhost:{named.port}",
        f"origin: {origin.format(port=named.port)}",
        "content-type: application/json",
    )
    assert asked(named, "/v1/decide", "POST", *fields, body=body)[0] == status


def test_a_form_of_ours_that_hides_its_origin_is_let_in(named: Server) -> None:
    fields = ("host: localhost", "origin: null", "sec-fetch-site: same-origin")
    assert asked(named, "/healthz", "GET", *fields)[0] == 200
    assert asked(named, "/healthz", "GET", "host: localhost", "origin: null", "sec-fetch-site: cross-site")[0] == 403


def test_a_client_of_http_1_0_without_a_host_is_let_in(named: Server) -> None:
    assert b"200 OK" in named.raw(b"GET /healthz HTTP/1.0\r\n\r\n")


def test_the_address_that_a_client_connected_to_is_the_servers_own() -> None:
    hosts = Hosts()
    assert hosts.holds("10.1.2.3:80", "10.1.2.3") and hosts.holds("[fe80::1]", "fe80:0::1%eth0")
    assert hosts.holds("10.1.2.3", "::ffff:10.1.2.3") and not hosts.holds("10.1.2.3", "10.1.2.4")


@pytest.mark.parametrize("name", ["http://a", "a:80", "", "*", "a b", "*.*.a"])
def test_what_is_no_name_is_not_allowed(name: str) -> None:
    with pytest.raises(ValueError, match="is no host name"):
        Hosts([name])
