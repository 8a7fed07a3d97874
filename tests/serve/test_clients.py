"""Clients that are malformed, oversized, slow or too many, byte for byte."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_servers import EVENT, Server, parsed, post, until_end

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

BODY = json.dumps(EVENT).encode()
HEAD = b"POST /v1/decide HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
GET = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"


@pytest.fixture(scope="module")
def strict() -> Iterator[Server]:
    """A server with little patience."""
    server = Server("access", "--request-timeout", "700ms", "--idle-timeout", "1s", "--connections", "8")
    yield server
    assert server.ask("/healthz")[2]["status"] == "ok"
    assert server.stop() == 0
    assert not any("Traceback" in line for line in server.said)


@pytest.fixture(scope="module")
def usual() -> Iterator[Server]:
    """A server with the usual limits."""
    server = Server("access")
    yield server
    assert server.ask("/healthz")[2]["status"] == "ok"
    assert server.stop() == 0
    assert not any("Traceback" in line for line in server.said)


def test_a_good_request_is_answered_and_the_connection_ended_as_asked(usual: Server) -> None:
    status, head, reply = parsed(usual.raw(post(BODY)))
    assert status == 200 and reply["action"] == "allow" and head["connection"] == "close"
    assert "server" not in head and head["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "strict-transport-security" not in head


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where there is none.
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",  # No host.
        GET + b"host: y\r\n\r\n",
        GET + b"bad header\r\n\r\n",
        GET + b"x : y\r\n\r\n",
        GET + b"x: a\x00b\r\n\r\n",
        GET + b" folded: y\r\n\r\n",
        b"GET /healthz\xff HTTP/1.1\r\nhost: localhost\r\n\r\n",
        # Two ways to say the length, or a strange one: what a proxy may read otherwise.
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
        HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        HEAD + b"content-length: -2\r\n\r\n{}",
        HEAD + b"content-length: +2\r\n\r\n{}",
        HEAD + b"content-length: 2, 2\r\n\r\n{}",
        HEAD + b"content-length: 99999999999999999999999\r\n\r\n{}",
        HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        HEAD + b"transfer\r-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/decide HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        # Chunks that are none.
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    ],
    ids=range(29),
)
def test_what_is_no_request_is_a_problem_and_ends_the_connection(usual: Server, request_: bytes) -> None:
    smuggled = b"GET /v1/decisions/smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n"
    answer = usual.raw(request_ + smuggled)
    status, head, reply = parsed(answer)
    assert status == reply["status"] == 400 and reply["fix"] and answer.count(b"HTTP/1.1 ") == 1
    assert head["content-type"] == "application/problem+json" and head["connection"] == "close"
    assert head["x-content-type-options"] == "nosniff" and "content-security-policy" in head


def test_a_chunked_body_is_read(usual: Server) -> None:
    pieces = [b"%x\r\n%s\r\n" % (len(BODY[k : k + 9]), BODY[k : k + 9]) for k in range(0, len(BODY), 9)]
    chunks = HEAD + b"transfer-encoding: Chunked\r\nconnection: close\r\n\r\n" + b"".join(pieces) + b"0\r\n\r\n"
    assert parsed(usual.raw(chunks))[0] == 200
    assert parsed(usual.raw(*(chunks[k : k + 7] for k in range(0, len(chunks), 7))))[0] == 200


def test_what_follows_a_whole_request_on_a_connection_is_a_request_of_its_own(usual: Server) -> None:
    answer = usual.raw(GET + b"\r\n" + GET + b"\r\n" + b"junk\r\n\r\n" + GET + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2 - answer.count(b"HTTP/1.1 400")
    answer = usual.raw(post(BODY) + post(BODY))
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe{}", b'{"a": NaN}', b'"\\ud800"', BODY[:-1], BODY + b"}", b"\x00", b"[1,]"]
)
def test_a_body_that_is_no_json_is_a_problem(usual: Server, body: bytes) -> None:
    status, _, reply = parsed(usual.raw(post(body)))
    assert status == reply["status"] and status in (400, 422) and reply["fix"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "\xff/\xfe"]
)
def test_another_content_type_is_a_problem_and_nothing_of_it_gets_into_headers(usual: Server, kind: str) -> None:
    request = post(BODY).replace(b"application/json", kind.encode("latin-1"))
    status, head, reply = parsed(usual.raw(request))
    assert status == reply["status"] == 415 and kind not in str(head)


@pytest.mark.parametrize(
    "request_",
    [
        GET + b"x: " + b"a" * 40_000 + b"\r\n\r\n",
        GET + b"".join(b"x%d: y\r\n" % k for k in range(200)) + b"\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
        GET + b"x: " + b"a" * 400_000,
    ],
    ids=["long", "many", "path", "endless"],
)
def test_large_headers_are_refused(usual: Server, request_: bytes) -> None:
    status, _, reply = parsed(usual.raw(*(request_[k : k + 8000] for k in range(0, len(request_), 8000))))
    assert status == reply["status"] == 431 and reply["fix"]


def test_a_large_body_is_refused_however_its_length_is_said(usual: Server) -> None:
    assert parsed(usual.raw(post(b" " * (9 << 20))))[0] == 413
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    chunks = HEAD + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    assert parsed(usual.raw(chunks, *[chunk] * 150, b"0\r\n\r\n"))[0] == 413


def test_a_body_that_waits_to_be_asked_for_and_makes_no_sense_is_a_problem(usual: Server) -> None:
    """The answer has ended the connection before the request's turn comes to ask for its body."""
    expecting = HEAD + b"expect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n"
    assert parsed(usual.raw(expecting + b"zz\r\n\r\n"))[0] == 400
    assert not any("fault" in line for line in usual.said)


def test_a_body_without_an_end_is_cut_off(usual: Server) -> None:
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    with socket.create_connection(("127.0.0.1", usual.port), timeout=240) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        with pytest.raises(OSError):
            connection.sendall(chunk * 100)


def test_an_offer_of_another_protocol_is_ignored(usual: Server) -> None:
    for kind in (b"websocket", b"h2c"):
        first = GET + b"connection: upgrade\r\nupgrade: " + kind + b"\r\n\r\n"
        answer = usual.raw(first + first + GET + b"connection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"HTTP/1.1 ") == 3
        assert answer.count(b"connection: close") == 1


H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"


@pytest.mark.parametrize("size", [100_000, 200, 7, 1], ids=["whole", "pieces", "small", "bytes"])
def test_a_client_that_offers_http_2_keeps_its_body(usual: Server, size: int) -> None:
    """As `curl --http2` and Java's HttpClient send it, with a length and in chunks, followed by another request."""
    whole = HEAD + H2C + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
    chunked = HEAD + H2C + b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"
    sent = whole + chunked + whole + GET + b"connection: close\r\n\r\n"
    answer = usual.raw(*(sent[k : k + size] for k in range(0, len(sent), size)))
    assert answer.count(b"HTTP/1.1 200 OK") == answer.count(b"HTTP/1.1 ") == 4
    assert answer.count(b'"event_id":"1"') == 3 and b'"status":"ok"' in answer


def test_an_offer_does_not_smuggle_a_second_request_into_a_body(usual: Server) -> None:
    smuggled = b"GET /v1/decisions/smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n"
    hidden = HEAD + H2C + b"content-length: %d\r\n\r\n" % len(smuggled) + smuggled
    answer = usual.raw(hidden + GET + b"connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 400") == 1 and answer.count(b"HTTP/1.1 200") == 1 == answer.count(b'"status":"ok"')
    two = HEAD + H2C + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    assert parsed(usual.raw(two + smuggled))[0] == 400


@pytest.mark.parametrize(
    "line", [b"CONNECT x:443", b"CONNECT /v1/decide", b"CONNECT x:443\r\nhost: y\r\nupgrade: h2c\r\nx"],
    ids=["authority", "path", "upgrade"],
)  # fmt: skip
def test_a_proxy_is_what_this_is_not(usual: Server, line: bytes) -> None:
    answer = usual.raw(line + b" HTTP/1.1\r\nhost: localhost\r\n\r\n" + GET + b"\r\n")
    status, head, reply = parsed(answer)
    assert status == reply["status"] in (400, 501) and reply["fix"] and answer.count(b"HTTP/1.1 ") == 1
    assert head["connection"] == "close"


@pytest.mark.parametrize(
    "target", [b"*", b"?", b"#x", b"//", b"http://", b"x:99999", b"[::1", b"/%00%0a%1b[2J", b"/%ff"]
)
def test_any_target_gets_an_answer(usual: Server, target: bytes) -> None:
    status, _, reply = parsed(
        usual.raw(b"GET " + target + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    )
    assert status == reply["status"] in (400, 404) and reply["fix"]


def test_a_gzip_body_is_read_and_a_bomb_is_not(usual: Server) -> None:
    reply = usual.ask("/v1/decide", gzip.compress(BODY), content_encoding="gzip")
    assert reply[0] == 200 and reply[2]["event_id"] == "1"
    assert usual.ask("/v1/decide", gzip.compress(b" " * (64 << 20)), content_encoding="GZIP")[0] == 413
    fitting = b"[" + b" " * ((8 << 20) - 2) + b"]"
    assert usual.ask("/v1/decide", gzip.compress(fitting), content_encoding="x-gzip")[:3:2] == (200, [])
    assert usual.ask("/v1/decide", BODY, content_encoding="identity")[0] == 200


@pytest.mark.parametrize(
    "body",
    [BODY, b"", gzip.compress(BODY)[:-9], gzip.compress(BODY)[:-1] + b"x", gzip.compress(BODY) * 2,
     gzip.compress(BODY) + b"x", gzip.compress(gzip.compress(BODY))],
    ids=["plain", "empty", "cut", "damaged", "twice", "more", "nested"],
)  # fmt: skip
def test_a_body_that_is_no_gzip_is_a_problem(usual: Server, body: bytes) -> None:
    status, _, reply = usual.ask("/v1/decide", body, content_encoding="gzip")
    assert status == reply["status"] == 400 and reply["fix"]


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "gzip;q=1", "zstd", "\xff"])
def test_an_encoding_that_is_not_read_is_said(usual: Server, coding: str) -> None:
    status, head, reply = usual.ask("/v1/decide", gzip.compress(BODY), content_encoding=coding)
    assert status == reply["status"] == 415 and head["accept-encoding"] == "gzip" and "gzip" in reply["fix"]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HT",
        HEAD,
        HEAD + b"content-length: 100\r\n\r\n{",
        HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{",
    ],
    ids=["line", "headers", "body", "chunk"],
)
def test_a_request_that_does_not_end_is_cut_off(strict: Server, sent: bytes) -> None:
    status, head, reply = parsed(strict.raw(sent))
    assert status == reply["status"] == 408 and reply["fix"] and head["connection"] == "close"


def test_a_trickle_is_cut_off_too(strict: Server) -> None:
    with socket.create_connection(("127.0.0.1", strict.port), timeout=0.1) as connection:
        received, whole = b"", HEAD + b"content-length: 100000\r\n\r\n"
        for k in range(200):
            try:
                connection.sendall(whole[k : k + 1] or b" ")
                received += connection.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
            break
        assert parsed(received)[0] == 408


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n", GET + b"\r\n"], ids=["silent", "blank", "idle"])
def test_a_connection_that_is_not_used_is_ended(strict: Server, sent: bytes) -> None:
    answer = strict.raw(sent)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 200")


def test_too_many_connections_are_refused_and_others_go_on(strict: Server) -> None:
    held = []
    try:
        for _ in range(8):
            connection = socket.create_connection(("127.0.0.1", strict.port), timeout=240)
            connection.sendall(GET + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            held.append(connection)
        status, head, reply = parsed(strict.raw())
        assert status == reply["status"] == 503 and head["retry-after"] == "1" and "connections" in reply["detail"]
        held[0].sendall(GET + b"connection: close\r\n\r\n")
        assert b"HTTP/1.1 200 OK" in until_end(held[0])
        held.pop(0).close()
    finally:
        for connection in held:
            connection.close()


def test_a_client_that_goes_in_the_middle_costs_nothing(usual: Server) -> None:
    for sent in (b"GET", HEAD, HEAD + b"content-length: 50\r\n\r\n{", post(BODY)):
        with socket.create_connection(("127.0.0.1", usual.port), timeout=240) as connection:
            connection.sendall(sent)


def test_pipelining_without_reading_the_answers_holds_nobody_up(usual: Server) -> None:
    """The server reads no further than it answers, and a reset on the way is no fault of its own."""
    for _ in range(3):
        with socket.socket() as greedy:
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            greedy.connect(("127.0.0.1", usual.port))
            greedy.setblocking(False)
            left = memoryview((GET + b"\r\n") * 40_000)
            for _ in range(200):
                try:
                    left = left[greedy.send(left) :]
                except BlockingIOError:
                    pass
                assert usual.ask("/healthz")[0] == 200
        assert usual.ask("/healthz")[0] == 200


def test_all_of_many_pipelined_requests_are_answered_in_order(usual: Server) -> None:
    asked = b"".join(b"GET /v1/decisions/p%d HTTP/1.1\r\nhost: localhost\r\n\r\n" % k for k in range(5000))
    with socket.create_connection(("127.0.0.1", usual.port), timeout=240) as connection:
        sender = threading.Thread(target=connection.sendall, args=(asked + GET + b"connection: close\r\n\r\n",))
        sender.start()
        answer = until_end(connection)
        sender.join()
    assert re.findall(rb"no event 'p(\d+)'", answer) == [b"%d" % k for k in range(5000)]
    assert b'"status":"ok"' in answer


def test_line_ends_in_a_path_reach_neither_log_nor_headers(usual: Server) -> None:
    forged = "/v1/decisions/x%0d%0ahomeostat:%20warning:%20forged%0d%0a%1b%5b2J"
    status, head, _ = usual.ask(forged)
    assert status == 404 and "forged" not in str(head)
    assert not any(line.startswith("homeostat: warning: forged") for line in usual.said)


@pytest.mark.skipif(shutil.which("java") is None, reason="there is no Java here")
def test_the_client_of_javas_standard_library_is_answered(usual: Server) -> None:
    command = ["java", str(Path(__file__).with_name("Ask.java")), usual.url + "/v1/decide", BODY.decode()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    lines = done.stdout.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["200"] * 3, done.stdout + done.stderr
    assert all('"action":"allow"' in line for line in lines)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.parametrize("option", ["--http2", "--http1.1", "--compressed"])
def test_curl_is_answered(usual: Server, option: str) -> None:
    command = ["curl", "-s", option, "-H", "content-type: application/json", "-d", "@-", usual.url + "/v1/decide"]
    done = subprocess.run(command, input=BODY, capture_output=True, timeout=240)
    assert json.loads(done.stdout)["action"] == "allow"
