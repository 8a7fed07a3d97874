"""Ids, entity keys and category names as 64-bit codes, so that no stage touches text.

An integer, or the canonical text of one, is its own code: 123 and "123" are the same key. Any other text is a hash
(BLAKE2b) in a range of its own; whoever shows it to a person keeps the text beside the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b

ABSENT = -(1 << 63)  # No such key on this event.
_INTEGER_MAX = (1 << 61) - 1  # Integers beyond this are hashed like text.
_HASH_BASE = 1 << 62


@lru_cache(maxsize=1 << 16)
def _hashed(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return _HASH_BASE | (int.from_bytes(digest, "little") >> 2)


def code_of(key: int | str) -> int:
    """The 64-bit code of an id or entity key.

    >>> code_of(123) == code_of("123") == 123
    True
    >>> code_of("0123") > 2**62
    True
    """
    if isinstance(key, int):
        return key if -_INTEGER_MAX <= key <= _INTEGER_MAX else _hashed(str(key))
    if 0 < len(key) <= 19 and (key.isdecimal() or key[0] == "-") and key.isascii():
        try:
            number = int(key)
        except ValueError:
            return _hashed(key)
        if str(number) == key and -_INTEGER_MAX <= number <= _INTEGER_MAX:
            return number
    return _hashed(key)


def is_hashed(code: int) -> bool:
    """Whether a code stands for text that is not an integer."""
    return code >= _HASH_BASE


def text_of(code: int, texts: Mapping[int, str]) -> str:
    """The text of a code; `texts` holds those of hashed codes.

    >>> text_of(7, {})
    '7'
    """
    return texts.get(code, f"#{code:x}") if is_hashed(code) else str(code)


def is_called(text: str | None, code: int, texts: Mapping[int, str]) -> bool:
    """Whether a code stands for this very text, which another text of the same hash is not; yes where none is given."""
    return text is None or text_of(code, texts) == text


def category_code(text: str) -> float:
    """A category's code as a number that float64 holds exactly (52 bits)."""
    return float(_hashed(text) & ((1 << 52) - 1))


def pair_code(first: int, second: int) -> int:
    """The code of a composite entity, of two entity keys; ABSENT when either is."""
    if first == ABSENT or second == ABSENT:
        return ABSENT
    mixed = (first * 0x9E3779B97F4A7C15 + (second ^ (second >> 31)) * 0xC2B2AE3D27D4EB4F) & ((1 << 64) - 1)
    mixed ^= mixed >> 32
    mixed = (mixed * 0xD6E8FEB86659FD93) & ((1 << 64) - 1)
    return _HASH_BASE | ((mixed ^ (mixed >> 29)) >> 2)
