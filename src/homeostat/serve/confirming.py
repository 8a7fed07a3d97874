"""Tokens that confirm a change as it was previewed: signed, bound to the state of the preview, and short-lived.

The key of the signature follows from the secret of the app's journal, so every process that serves the app knows it.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import Any

from homeostat.records.changes import Change
from homeostat.records.identity import Coding

GOOD_FOR_S = 900
_DIGITS = 32  # Of a signature in hexadecimal: 128 bits can't be guessed.


@dataclass(frozen=True, slots=True)
class Confirming:
    """Makes and checks tokens.

    secret : of the signature, the same in every process
    """

    secret: bytes

    @classmethod
    def of(cls, coding: Coding) -> Confirming:
        """With a secret that follows from the journal's."""
        return cls(b"".join(int(word).to_bytes(8, "little") for word in coding.words(b"confirm tokens")))

    def token(self, wish: Sequence[Any], last: Change | None, now_ns: int) -> str:
        """The token of a wish for a scope whose last change is this; its first part is when it ends.

        wish : JSON values that say what is asked for
        """
        until_s = now_ns // 10**9 + GOOD_FOR_S
        return f"{until_s:x}.{self._signature(wish, last, until_s)}"

    def confirms(self, token: str, wish: Sequence[Any], last: Change | None, now_ns: int) -> bool:
        """Whether a token is of this wish and this state, and its time is not over.

        >>> signs = Confirming(b"0123456789abcdef")
        >>> token = signs.token(["deploy", "champion"], None, 0)
        >>> signs.confirms(token, ["deploy", "champion"], None, 900 * 10**9 - 1)
        True
        >>> signs.confirms(token, ["deploy", "champion"], None, 900 * 10**9)
        False
        """
        until, _, signature = token.partition(".")
        if not (signature.isascii() and until.isascii() and until.isalnum() and len(until) < _DIGITS):
            return False
        try:
            until_s = int(until, 16)
        except ValueError:
            return False
        good = hmac.compare_digest(signature, self._signature(wish, last, until_s))
        return good and now_ns < until_s * 10**9

    def _signature(self, wish: Sequence[Any], last: Change | None, until_s: int) -> str:
        state = (0, 0) if last is None else (last.number, last.at_ns)
        text = dumps([*wish, *state, until_s], sort_keys=True)
        return hmac.digest(self.secret, text.encode(), sha256).hex()[:_DIGITS]
