"""The names by which a server may be called: a page of another site must not reach it through a reader's browser.

A page can let a name of its own point to this machine (DNS rebinding), and can send text to any address. Its browser
says so, though: `Host` holds the page's name, and `Origin` the site that the page is from.
Source: RFC 6454, RFC 9110 section 7.4, RFC 6761 section 6.3, and the Fetch standard's section on `Origin`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from homeostat.config.loopback import is_loopback

_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:/?#@\s]+)(?::([0-9]{1,5}))?")
_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")


class Hosts:
    """The names of one server: this machine's own, the address that a client connected to, and those that are allowed.

    >>> hosts = Hosts(["risk.example.com", "*.internal"])
    >>> [hosts.holds(name, "10.0.0.7") for name in ("localhost:8080", "10.0.0.7", "risk.example.com:443", "a.internal")]
    [True, True, True, True]
    >>> [hosts.holds(name, "10.0.0.7") for name in ("evil.example", "10.0.0.8", "localhost.evil.example", "")]
    [False, False, False, False]
    """

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        """Allow names beside the server's own.

        allowed : host names or addresses, without a port; `*.` in front stands for all names below
        Raises ValueError for what is no name.
        """
        for name in allowed:
            if not _NAME.fullmatch(name.lower()) and not is_address(name):
                raise ValueError(
                    f"{name!r} is no host name: write it without scheme and port, such as risk.example.com"
                )
        self._names = frozenset(_address(name.lower()) for name in allowed if not name.startswith("*."))
        self._below = tuple(name.lower()[1:] for name in allowed if name.startswith("*."))

    def holds(self, host: str, bound: str) -> bool:
        """Whether a `Host` header may name this server.

        bound : the address of this machine that the client connected to
        """
        name, _ = _parted(host)
        return self._is_own(name, bound) or self._is_allowed(name)

    def may_send(self, origin: str, host: str, bound: str, same_site: bool = False) -> bool:
        """Whether pages of an origin may send requests: those that this server gave, or that are from an allowed name.

        same_site : the browser says that the page is from the server that it asks (`Sec-Fetch-Site: same-origin`)

        >>> hosts = Hosts(["risk.example.com"])
        >>> hosts.may_send("http://localhost:8080", "localhost:8080", "127.0.0.1")
        True
        >>> hosts.may_send("http://localhost:3000", "localhost:8080", "127.0.0.1")
        False
        >>> hosts.may_send("https://risk.example.com", "risk.example.com", "10.0.0.7")
        True
        """
        if origin == "null":  # A page that hides where it is from, such as a form under `no-referrer`.
            return same_site
        scheme, _, rest = origin.partition("://")
        usual = _PORTS.get(scheme)
        name, port = _parted(rest)
        if usual is None or not name:
            return False
        if self._is_allowed(name):
            return True
        return self._is_own(name, bound) and (port or usual) == (_parted(host)[1] or usual)

    def _is_own(self, name: str, bound: str) -> bool:
        return bool(name) and (is_loopback(name) or name.endswith(".localhost") or name == _address(bound))

    def _is_allowed(self, name: str) -> bool:
        return name in self._names or name.endswith(self._below)


def is_address(host: str) -> bool:
    """Whether it is an address and no name.

    >>> is_address("0.0.0.0"), is_address("::1"), is_address("risk.example.com")
    (True, True, False)
    """
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def name_of(url: str) -> str:
    """The host name in an address; empty where there is none.

    >>> name_of("https://risk.example.com:8443/answers")
    'risk.example.com'
    """
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _parted(authority: str) -> tuple[str, int | None]:
    """Name and port; an empty name where it is no authority. A dot at the end is the root of all names."""
    found = _AUTHORITY.fullmatch(authority.strip().lower())
    if found is None:
        return "", None
    return _address(found[1].strip("[]").removesuffix(".")), None if found[2] is None else int(found[2])


def _address(name: str) -> str:
    """An address in its shortest form, so that two ways to write it are equal; a name as it is."""
    try:
        found = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)
