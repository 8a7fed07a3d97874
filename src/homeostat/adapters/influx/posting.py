"""Posts lines of InfluxDB's protocol to a server that takes them."""

from __future__ import annotations

from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from homeostat.ports import Unavailable

_TIMEOUT_S = 30.0
_SHOWN = 300


def post_lines(url: str, lines: bytes) -> None:
    """Post lines to an address such as http://127.0.0.1:8086/write?db=infra.

    Raises Unavailable where they are refused, or nobody answers.
    """
    request = Request(url, lines, {"content-type": "text/plain; charset=utf-8"})  # noqa: S310 - checked by the caller.
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=_TIMEOUT_S):
            pass
    except HTTPError as error:
        with error:
            said = error.read(_SHOWN).decode(errors="replace").strip()
        raise Unavailable(f"{url.partition('?')[0]} refuses lines with status {error.code}: {said}") from error
    except (OSError, HTTPException) as error:
        raise Unavailable(f"{url.partition('?')[0]} takes no lines: {error}") from error
