"""Posting to a server of somebody else's: bounded, without redirects, and without a secret in any message."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from homeostat.adapters.announce.message import Refused
from homeostat.errors import Unavailable

_REPLY_BYTES = 4096
_AGAIN = frozenset({408, 409, 423, 425, 429})  # These pass; all other answers from 400 to 499 stay.


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect may lead an announcement, with its secrets, to anybody."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def stays(code: int) -> bool:
    """Whether an answer will be the same however often one tries."""
    return code < 500 and code not in _AGAIN


def post(
    url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, name: str,
    is_final: Callable[[int], bool] = stays,
) -> None:  # fmt: skip
    """Post JSON. Raises Unavailable, Refused; the texts name the channel and the host, not the address.

    name : of the channel
    is_final : tells by its code whether an answer means Refused
    """
    where = f"{name} at {urlsplit(url).hostname}"
    head = {"Content-Type": "application/json", "User-Agent": "homeostat", **headers}
    try:
        request = urllib.request.Request(url, body, head, method="POST")  # noqa: S310 - its scheme was checked.
        with _OPENER.open(request, timeout=timeout_s) as reply:
            reply.read(_REPLY_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            said = " ".join(error.read(200).decode("utf-8", "replace").split())
        text = f"{where} answers {error.code}" + (f": {said}" if said else "")
        if is_final(error.code):
            raise Refused(text) from None
        raise Unavailable(text) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Unavailable(f"{where} can't be reached: {reason}") from None
