"""TLS and mutual TLS, as clients with and without the right certificates meet them."""

from __future__ import annotations

import datetime
import socket
import ssl
import time
import urllib.error
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from certificates import Authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from http_servers import EVENT, Server

from homeostat.adapters.disk.api_keys import FileApiKeys
from homeostat.serve.certificates import validity
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
    until = time.monotonic() + 180  # The server looks for new keys now and then.
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
        _ = secure.raw(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").split(b"HTTP/1.1")[1]
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", secure.port), timeout=240) as plain, pytest.raises(ssl.SSLError):
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


@pytest.mark.parametrize("named", ["localhost", None], ids=["named", "unnamed"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_renewed_certificate_without_its_key_leaves_the_old_one_in_use(folder, authority, named, version) -> None:
    certificate, key = authority.issue("early", file="half")
    tls = Tls(certificate, key)
    own_key = key.read_bytes()
    authority.issue("later", file="half")
    new_key = key.read_bytes()
    key.write_bytes(own_key)  # The certificate is there, and its key is not yet.
    for _ in range(2):  # It is logged as long as it is so.
        assert "key values mismatch" in tls.refresh() and _name(tls, authority, named, version) == "early"
    certificate.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert "can't be used" in tls.refresh() and _name(tls, authority, named, version) == "early"
    authority.issue("latest", file="half")
    latest_key = key.read_bytes()
    key.write_bytes(new_key)
    assert "key values mismatch" in tls.refresh() and _name(tls, authority, named, version) == "early"
    key.write_bytes(latest_key)
    assert tls.refresh() == "" and _name(tls, authority, named, version) == "latest"


def test_clients_are_asked_for_certificates_after_a_renewal_too(folder: Path, authority: Authority) -> None:
    certificate, key = authority.issue("mutual")
    tls = Tls(certificate, key, authority.path)
    authority.issue("mutual again", file="mutual")
    assert (
        tls.refresh() == "" and _name(tls, authority, identity=authority.issue("guest", client=True)) == "mutual again"
    )
    with pytest.raises(ssl.SSLError):
        _name(tls, authority)


def test_a_certificate_out_of_its_time_and_a_key_that_others_read_are_warned_of(folder: Path, authority) -> None:
    certificate, key = authority.issue("watched")
    key.chmod(0o600)
    tls, day_ns = Tls(certificate, key), 86_400 * 10**9
    now_ns = time.time_ns()
    assert tls.warnings(now_ns) == []
    (expired,) = tls.warnings(now_ns + 8 * day_ns)
    (early,) = tls.warnings(now_ns - 2 * day_ns)
    assert "has expired" in expired and "renew" in expired and "valid from" in early
    for mode in (0o604, 0o640, 0o644):
        key.chmod(mode)
        (seen,) = tls.warnings(now_ns)
        assert "read by others" in seen and "chmod 600" in seen


@pytest.mark.long
def test_a_server_that_starts_with_an_unwise_certificate_says_so(folder: Path, authority: Authority) -> None:
    certificate, key = authority.issue("unwise")
    key.chmod(0o644)
    server = Server("access", "--tls-cert", certificate, "--tls-key", key, trusted=client(authority))
    assert server.ask("/healthz")[0] == 200
    assert server.stop() == 0 and sum("read by others" in line for line in server.said) == 1


def test_how_long_a_certificate_is_valid_is_read_as_others_read_it(folder: Path) -> None:
    """Years before and after 2050 are written in two ways."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x" * 60)])
    for begins, ends in ((1950, 2049), (2049, 2050), (2020, 9999)):
        first, last = (datetime.datetime(year, 2, 3, 4, 5, 6, tzinfo=datetime.UTC) for year in (begins, ends))
        made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), first, last)
        pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        assert validity("text before\n" + pem + pem) == (first, last)
        der = ssl.PEM_cert_to_DER_cert(pem)
        for cut in range(len(der)):
            with suppress(ValueError):
                validity(ssl.DER_cert_to_PEM_cert(der[:cut]))


@pytest.mark.long
def test_files_that_do_not_fit_are_said(folder: Path, authority: Authority) -> None:
    certificate, key = authority.issue("one")
    _, other = authority.issue("two")
    with pytest.raises(TlsError, match="key values mismatch"):
        Tls(certificate, other)
    with pytest.raises(TlsError, match="no certificates of authorities"):
        Tls(certificate, key, other)
    with pytest.raises(TlsError, match="can't be read"):
        Tls(folder / "nothing", key)


def _name(
    tls: Tls,
    authority: Authority,
    named: str | None = "localhost",
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    identity: tuple[Path, ...] = (),
) -> str:
    """Whom a client finds, over a connection in memory."""
    context = client(authority, *identity)
    context.check_hostname = named is not None
    context.minimum_version = context.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = tls.context.wrap_bio(to_server, to_client, server_side=True)
    asking = context.wrap_bio(to_client, to_server, server_hostname=named)
    for side in (asking, server, asking, server, asking):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    server.do_handshake()
    return dict(part[0] for part in asking.getpeercert()["subject"])["commonName"]
