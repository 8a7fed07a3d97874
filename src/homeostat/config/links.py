"""Links with which people answer plans from an announcement: off unless the owner declares a secret and an address.

Both stand in the environment, as HOMEOSTAT_LINKS__SECRET and HOMEOSTAT_LINKS__URL, for the server and for maintenance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from homeostat.config.faults import AppFileError, Fault

PREFIX = "HOMEOSTAT_LINKS__"
SECRET_CHARS_MIN = 32
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The public address of the server, and the secret that signs. Its text does not show the secret."""

    url: str
    secret: str = field(repr=False)


def read_links(environ: Mapping[str, str]) -> LinkSettings | None:
    """The settings of links; None where there are none. Raises AppFileError, which shows no secret.

    >>> read_links({}) is None
    True
    >>> read_links({PREFIX + "SECRET": "s" * 32, PREFIX + "URL": "https://risk.example.com/"}).url
    'https://risk.example.com'
    """
    secret, url = (environ.get(f"{PREFIX}{name}", "") for name in ("SECRET", "URL"))
    if not secret and not url:
        return None
    faults = list[tuple[str, str]]()
    if not secret or not url:
        missing = "SECRET" if not secret else "URL"
        faults.append((missing, f"links need both: give {PREFIX}{missing} too, or neither"))
    if secret and len(secret) < SECRET_CHARS_MIN:
        faults.append(("SECRET", f"a secret that signs links has {SECRET_CHARS_MIN} characters or more"))
    if url and (fault := _fault_of(url)):
        faults.append(("URL", fault))
    if faults:
        raise AppFileError([Fault("the environment", 1, 1, f"{PREFIX}{name}", text) for name, text in faults])
    return LinkSettings(url.rstrip("/"), secret)


def _fault_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"the address can't be read: {error}"
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        return "the public address of the server is like https://risk.example.com"
    if parts.scheme == "http" and host not in _LOOPBACK:
        return "a link lets its reader approve: beyond this machine its address begins with https://"
    return ""
