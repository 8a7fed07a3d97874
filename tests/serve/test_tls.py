"""TLS and mutual TLS, as clients with and without the right certificates meet them."""

from __future__ import annotations

import socket
import ssl
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority
from http_servers import EVENT, Server

from homeostat.adapters.api_keys import FileApiKeys
from homeostat.serve.tls import Tls, TlsError


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "authority")


@pytest.fixture(scope="module")
def secure(folder: Path, authority: Authority) -> Iterator[Server]:
    """A server for all machines, with TLS, keys and clients' certificates."""
    certificate, key = authority.issue("server")
    arguments = ["--tls-cert", certificate, "--tls-key", key, "--client-ca", authority.path, "--data", folder / "data"]
    server = Server("access", "--host", "0.0.0.0", *arguments)
    yield server
    assert server.stop() == 0
    assert not any("Traceback" in line or "plain text" in line for line in server.said)


def client(authority: Authority, *identity: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.path)
    if identity:
        context.load_cert_chain(*identity)
    return context


def test_a_client_with_certificate_and_key_is_let_in(secure: Server, folder: Path, authority: Authority) -> None:
    secret = FileApiKeys(folder / "data").create("till", ["decide"])
    secure.trusted = client(authority, *authority.issue("till", client=True))
    assert secure.url.startswith("https://")
    status, head, _ = secure.ask("/healthz")
    assert status == 200 and head["strict-transport-security"] == "max-age=31536000"
    until = time.monotonic() + 20  # The server looks for new keys now and then.
    while secure.ask("/v1/decide", EVENT, authorization=f"Bearer {secret}")[0] != 200:
        assert time.monotonic() < until, "a new key does not let in"
    assert secure.ask("/v1/decide", EVENT)[0] == 401


def test_a_client_without_a_certificate_of_the_authority_is_not(secure: Server, folder: Path, authority) -> None:
    other = Authority(folder, "other")
    for context in (client(authority), client(authority, *other.issue("stranger", client=True))):
        secure.trusted = context
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            secure.ask("/healthz")


def test_what_is_no_tls_or_an_old_one_gets_no_answer(secure: Server) -> None:
    with pytest.raises(IndexError):  # No answer at all.
        _ = secure.raw(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").split(b"HTTP/1.1")[1]
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", secure.port), timeout=20) as plain, pytest.raises(ssl.SSLError):
        old.wrap_socket(plain)


def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(folder: Path, authority: Authority) -> None:
    certificate, key = authority.issue("renewed")
    tls = Tls(certificate, key)
    assert _name(tls, authority) == "renewed" and tls.refresh() == ""
    authority.issue("fresh", file="renewed")
    assert tls.refresh() == "" and _name(tls, authority) == "fresh"
    key.write_text("broken")
    assert "can't be used" in tls.refresh() and _name(tls, authority) == "fresh"
    key.unlink()
    assert "can't be read" in tls.refresh() and _name(tls, authority) == "fresh"


def test_files_that_do_not_fit_are_said(folder: Path, authority: Authority) -> None:
    certificate, key = authority.issue("one")
    _, other = authority.issue("two")
    with pytest.raises(TlsError, match="key values mismatch"):
        Tls(certificate, other)
    with pytest.raises(TlsError, match="no certificates of authorities"):
        Tls(certificate, key, other)
    with pytest.raises(TlsError, match="can't be read"):
        Tls(folder / "nothing", key)


def _name(tls: Tls, authority: Authority) -> str:
    """Whom a client finds, over a connection in memory."""
    context = client(authority)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = tls.context.wrap_bio(to_server, to_client, server_side=True)
    asking = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    for side in (asking, server, asking, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return dict(part[0] for part in asking.getpeercert()["subject"])["commonName"]
