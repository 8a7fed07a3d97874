"""TLS from files: the server's certificate, and whose clients' certificates it asks for."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

from homeostat.errors import HomeostatError
from homeostat.serve.certificates import validity

_OTHERS_READ, _GROUP_READS = 0o004, 0o040


class TlsError(HomeostatError, ValueError):
    """Certificates that can't be used; the text says which and why."""

    why = "a server needs a certificate and the private key that belongs to it"
    remedy = "Name the right files, readable by this user, unencrypted"


class Tls:
    """A server's TLS context. Connections made after `refresh` get a certificate that was renewed.

    context : what connections are begun with, for as long as the server runs. It hands each of them on to the context
        of the newest certificate that could be used: a certificate is loaded into a context of its own, since OpenSSL
        keeps a certificate whose key fails, and every connection would fail with it
    client_ca : certificates of authorities; only clients with a certificate of theirs are let in
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        """Read the files. Raises TlsError."""
        self._files, self._client_ca = (certificate, key), client_ca
        self._seen = self._stamp()
        self.context = self._current = self._loaded()
        self.context.sni_callback = self._hand_on

    def refresh(self) -> str:
        """Read a renewed certificate. Returns what is wrong with it, if anything: the old one stays in use then."""
        try:
            seen = self._stamp()
            if seen != self._seen:
                self._current = self._loaded()
                self._seen = seen  # Only now: files that don't fit each other are looked at again, and logged again.
        except TlsError as error:
            return str(error)
        return ""

    def warnings(self, now_ns: int) -> list[str]:
        """Warnings about the files, though they can be used."""
        certificate, key = self._files
        found = []
        try:
            begins, ends = validity(certificate.read_text("ascii"))
            at = datetime.fromtimestamp(now_ns / 1e9, UTC)
            if at > ends:
                found.append(f"{certificate} has expired on {ends:%Y-%m-%d %H:%M} UTC: clients refuse it; renew it")
            elif at < begins:
                found.append(
                    f"{certificate} is valid from {begins:%Y-%m-%d %H:%M} UTC on: clients refuse it until then"
                )
        except (OSError, ValueError):
            found.append(f"how long {certificate} is valid can't be read")
        try:
            about = os.stat(key)
        except OSError:
            return found
        # A group that is given the key is how a server reads a key of another owner; its own it can read without one.
        mine = about.st_uid == os.geteuid() if hasattr(os, "geteuid") else False
        if os.name == "posix" and about.st_mode & (_OTHERS_READ | _GROUP_READS * mine):
            found.append(f"{key} can be read by others: chmod 600 {key}, and renew it if they did")
        return found

    def _hand_on(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called for each connection, whether or not the client names a server."""
        if connection.context is not self._current:
            connection.context = self._current

    def _stamp(self) -> list[tuple[int, int, int]]:
        stamps = []
        for path in self._files:
            try:
                found = os.stat(path)
            except OSError as error:
                raise TlsError(f"{path} can't be read: {_said(error)}") from None
            stamps.append((found.st_ino, found.st_mtime_ns, found.st_size))
        return stamps

    def _loaded(self) -> ssl.SSLContext:
        """A context with the certificate as it is in the files now."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(["http/1.1"])
        certificate, key = self._files
        try:
            # Without a password OpenSSL would ask for one at the terminal, where nobody may be.
            context.load_cert_chain(certificate, key, password=_no_password)
        except (ssl.SSLError, OSError) as error:
            fix = "both as PEM, the key unencrypted and the certificate's own"
            raise TlsError(f"{certificate} with the key {key} can't be used ({_said(error)}): give {fix}") from None
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except (ssl.SSLError, OSError) as error:
                raise TlsError(f"{self._client_ca} holds no certificates of authorities: {_said(error)}") from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _no_password() -> str:
    return ""


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return getattr(error, "strerror", None) or type(error).__name__
