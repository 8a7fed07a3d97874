"""TLS from files: the server's certificate, and whose clients' certificates it asks for."""

from __future__ import annotations

import os
import ssl
from pathlib import Path


class TlsError(ValueError):
    """Certificates that can't be used; the text says which and why."""


class Tls:
    """A server's TLS context. Connections made after `refresh` get a certificate that was renewed.

    client_ca : certificates of authorities; only clients with a certificate of theirs are let in
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        """Read the files. Raises TlsError."""
        self._files = (certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        self.context.set_alpn_protocols(["http/1.1"])
        self._seen = self._stamp()
        self._load()
        if client_ca is not None:
            try:
                self.context.load_verify_locations(client_ca)
            except (ssl.SSLError, OSError) as error:
                raise TlsError(f"{client_ca} holds no certificates of authorities: {_said(error)}") from None
            self.context.verify_mode = ssl.CERT_REQUIRED

    def refresh(self) -> str:
        """Read a renewed certificate. Returns what is wrong with it, if anything: the old one stays in use then."""
        try:
            seen = self._stamp()
            if seen != self._seen:
                self._seen = seen
                self._load()
        except TlsError as error:
            return str(error)
        return ""

    def _stamp(self) -> list[tuple[int, int, int]]:
        stamps = []
        for path in self._files:
            try:
                found = os.stat(path)
            except OSError as error:
                raise TlsError(f"{path} can't be read: {_said(error)}") from None
            stamps.append((found.st_ino, found.st_mtime_ns, found.st_size))
        return stamps

    def _load(self) -> None:
        certificate, key = self._files
        try:
            # Without a password OpenSSL would ask for one at the terminal, where nobody may be.
            self.context.load_cert_chain(certificate, key, password=lambda: "")
        except (ssl.SSLError, OSError) as error:
            fix = "both as PEM, the key unencrypted and the certificate's own"
            raise TlsError(f"{certificate} with the key {key} can't be used ({_said(error)}): give {fix}") from None


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return getattr(error, "strerror", None) or type(error).__name__
