"""From when until when a certificate is valid, read from its bytes: the standard library shows that of peers only."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

_SEQUENCE, _UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x30, 0x17, 0x18, 0xA0
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def validity(pem: str) -> tuple[datetime, datetime]:
    """When the first certificate of a PEM text begins and ceases to be valid, in UTC. Raises ValueError.

    Source: RFC 5280, sections 4.1 and 4.1.2.5.
    """
    start = pem.find(_BEGIN)
    end = pem.find(_END, start)
    if start < 0 or end < 0:
        raise ValueError("there is no certificate in it")
    certificate, _ = _inside(ssl.PEM_cert_to_DER_cert(pem[start : end + len(_END)]), _SEQUENCE)
    fields, _ = _inside(certificate, _SEQUENCE)
    if fields[:1] == bytes([_VERSION]):
        fields = _next(fields)[2]
    for _ in range(3):  # Serial number, algorithm, issuer.
        fields = _next(fields)[2]
    times, _ = _inside(fields, _SEQUENCE)
    begins, rest = _time(times)
    ends, _ = _time(rest)
    return begins, ends


def _next(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first element, and what follows it."""
    if len(data) < 2:
        raise ValueError("the certificate ends too early")
    length, at = data[1], 2
    if length & 0x80:
        at += length & 0x7F
        length = int.from_bytes(data[2:at], "big")
    if len(data) < at + length:
        raise ValueError("the certificate ends too early")
    return data[0], data[at : at + length], data[at + length :]


def _inside(data: bytes, tag: int) -> tuple[bytes, bytes]:
    found, content, rest = _next(data)
    if found != tag:
        raise ValueError(f"the certificate has an element {found:#x} where {tag:#x} is expected")
    return content, rest


def _time(data: bytes) -> tuple[datetime, bytes]:
    tag, content, rest = _next(data)
    text = content.decode("ascii")
    if tag == _UTC_TIME:  # Two digits of the year: until 49 of this century, from 50 of the last one.
        text = ("20" if text[:2] < "50" else "19") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("the certificate's validity is no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC), rest
