"""Identities: ids and entity keys as two 64-bit words each, so that no stage touches text.

An integer, or the canonical text of one, is its own code, and its check is 0: 123 and "123" are the same key. Any other
text is 126 bits of a hash keyed by a secret: a code in a range of its own, and a check. Two texts are one identity only
where both words agree, which no one can bring about without the secret. A part that shows an identity to a person keeps
the text beside it; and where texts are at hand, they decide.

Source of the hash: RFC 7693, BLAKE2b with a key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from homeostat.records.arrays import Int

ABSENT = -(1 << 63)  # No such key on this event.
SECRET_BYTES = 32
CODE_MAX = (1 << 61) - 1  # Integers beyond this are hashed like text.
PLACES = 0x1E3779B97F4A7C15
"""See `Coding.places`: for tables whose keys nobody chooses to do harm, such as those of tests."""
_HASH_BASE = 1 << 62
_WORD = (1 << 64) - 1
_CATEGORY_BITS = (1 << 52) - 1

Identity = tuple[int, int]
"""A code and a check."""

IdTexts = dict[Identity, str]
"""The text of every identity that is a hash."""


class Coding:
    """How one folder's, or one journal's, texts become codes.

    secret : at least 16 bytes that nobody knows who chooses ids
    literals : the categories that the app file names: no other text ever gets their codes
    """

    def __init__(self, secret: bytes, literals: Iterable[str] = ()) -> None:
        if len(secret) < 16:
            raise ValueError("a secret has 16 bytes at least")
        self.secret = secret
        self.literals = frozenset(literals)
        self._begun = blake2b(key=self._derived(b"texts", 64), digest_size=16)
        self._pair_key = self.words(b"pairs")
        self._taken = {category_code(text): text for text in self.literals}
        self._hash = lru_cache(maxsize=1 << 16)(self._hashed)
        self.category = lru_cache(maxsize=1 << 16)(self._category)

    @classmethod
    def of_seed(cls, seed: int, literals: Iterable[str] = ()) -> Coding:
        """The coding of a run that must be the same when it is repeated: its secret follows from the seed."""
        return cls(secret_of_seed(seed), literals)

    def with_literals(self, literals: Iterable[str]) -> Coding:
        """The same for an app that names these categories."""
        return Coding(self.secret, literals)

    def __repr__(self) -> str:
        return "Coding(<secret>)"

    def identify(self, key: int | str) -> Identity:
        """The identity of an id or entity key.

        >>> coding = Coding.of_seed(0)
        >>> coding.identify(123) == coding.identify("123") == (123, 0)
        True
        >>> coding.identify("0123")[0] > 2**62
        True
        """
        number = number_of(key)
        return self._hash(str(key)) if number is None else (number, 0)

    def ids(self, keys: Sequence[int | str]) -> Ids:
        """The identities of several."""
        return Ids.of([self.identify(key) for key in keys])

    def of_texts(self, texts: Sequence[str]) -> Int:
        """(n, 2) codes and checks of texts none of which is an integer's."""
        words = np.frombuffer(bytearray(self._digests(texts)), "<i8").reshape(-1, 2)
        words[:, 0] = (words[:, 0] >> 2) & (_HASH_BASE - 1) | _HASH_BASE
        return words

    def fill_pair(self, keys: Int, checks: Int, of: tuple[int, int], column: int) -> None:
        """Write `column` of keys and checks, each (n, entities) and contiguous: the identities of pairs of entities.

        of : the columns of a pair's two members; where one of them is absent, so is the pair
        """
        from homeostat.records.siphash import hash_pairs  # The compiler takes a while to load, and few apps have pairs.

        hash_pairs(*self._pair_key, keys, checks, of[0], of[1], column)

    def _category(self, text: str) -> float:
        """A category's code as a number that float64 holds exactly (52 bits).

        Models are trained on these numbers, so they follow from the text alone. A text whose number is that of a
        category which the app file names gets another one.
        """
        code = category_code(text)
        while self._taken.get(code, text) != text:
            code = category_code(f"{text}\0{code}")  # No text from outside holds a NUL.
        return code

    def words(self, purpose: bytes) -> tuple[np.uint64, np.uint64]:
        """A key of two words for one purpose; those of different purposes have nothing in common."""
        derived = self._derived(purpose, 16)
        return np.uint64(int.from_bytes(derived[:8], "little")), np.uint64(int.from_bytes(derived[8:], "little"))

    @property
    def places(self) -> int:
        """An odd number below 2^63 that says where keys lie in hash tables, never what is found.

        Someone who knows it can choose keys that lie in one place, and make each lookup slow.
        """
        return int(self.words(b"places")[0]) >> 1 | 1

    def _derived(self, purpose: bytes, size: int) -> bytes:
        return blake2b(purpose, key=blake2b(self.secret, digest_size=32).digest(), digest_size=size).digest()

    def _hashed(self, text: str) -> Identity:
        digest = self._digests((text,))
        check = int.from_bytes(digest[8:], "little", signed=True)
        return _HASH_BASE | (int.from_bytes(digest[:8], "little") >> 2), check

    def _digests(self, texts: Sequence[str]) -> bytes:
        """16 bytes of each. A copy of the state after the key saves hashing the key again."""
        begun, found = self._begun.copy, []
        for text in texts:
            one = begun()
            one.update(text.encode("utf-8", "surrogatepass"))
            found.append(one.digest())
        return b"".join(found)


class Served(NamedTuple):
    """The secret that a server has drawn because its folder's own follows from a seed: chance depends on it.

    after : the journal's last entry by the folder's own
    """

    after: int
    coding: Coding


def secret_of_seed(seed: int) -> bytes:
    """The secret of runs that anyone may repeat."""
    return blake2b(b"homeostat seed %d" % seed, digest_size=SECRET_BYTES).digest()


def number_of(key: int | str) -> int | None:
    """The integer that a key is its own code by, None where it is hashed.

    >>> number_of("-7"), number_of("-0"), number_of(2**61)
    (-7, None, None)
    """
    if isinstance(key, int):
        return key if -CODE_MAX <= key <= CODE_MAX else None
    if 0 < len(key) <= 20 and (key.isdecimal() or key[0] == "-") and key.isascii():
        try:
            number = int(key)
        except ValueError:
            return None
        if str(number) == key and -CODE_MAX <= number <= CODE_MAX:
            return number
    return None


def category_code(text: str) -> float:
    """The number that follows from a category's text alone; see `Coding.category`."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return float((int.from_bytes(digest, "little") >> 2) & _CATEGORY_BITS)


def is_hashed(code: int) -> bool:
    """Whether a code stands for text that is not an integer, or for a pair."""
    return code >= _HASH_BASE


def text_of(code: int, check: int, texts: Mapping[Identity, str]) -> str:
    """The text of an identity; `texts` holds those of hashed ones. A pair has none: it is shown as its 126 bits.

    >>> text_of(7, 0, {})
    '7'
    """
    if not is_hashed(code):
        return str(code)
    text = texts.get((code, check))
    return shown_hash(code, check) if text is None else text


def shown_hash(code: int, check: int) -> str:
    """A hash as text, for who has no better: no two look alike.

    >>> shown_hash(2**62 + 5, -1)
    '#4000000000000005ffffffffffffffff'
    """
    return f"#{code:016x}{check & _WORD:016x}"


def is_called(text: str | None, identity: Identity, texts: Mapping[Identity, str]) -> bool:
    """Whether an identity stands for this very text, which another text of the same hash is not; yes where none is
    given."""
    return text is None or text_of(*identity, texts) == text


@dataclass(frozen=True, slots=True, eq=False)
class Ids:
    """`n` identities as columns.

    code, check : (n,) each
    """

    code: Int
    check: Int

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, rows: slice | Int | NDArray[np.bool_] | list[int]) -> Ids:
        """Those in a slice, those where a mask holds, or those of these numbers."""
        return Ids(self.code[rows], self.check[rows])

    def at(self, row: int) -> Identity:
        """One of them."""
        return self.code.item(row), self.check.item(row)

    def tolist(self) -> list[Identity]:
        """All of them."""
        return list(zip(self.code.tolist(), self.check.tolist(), strict=True))

    def where(self, one: Identity) -> NDArray[np.bool_]:
        """(n,) which are this one."""
        return np.asarray((self.code == one[0]) & (self.check == one[1]))

    @classmethod
    def of(cls, identities: Sequence[Identity]) -> Ids:
        """From identities one by one."""
        table = np.array(identities, np.int64).reshape(-1, 2)
        return cls(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]))


def joined_ids(parts: Sequence[Ids]) -> Ids:
    """Several, one after the other."""
    return Ids(np.concatenate([part.code for part in parts]), np.concatenate([part.check for part in parts]))


def first_rows(ids: Ids) -> Int:
    """(n,) for each row, the first row of the same identity; a row whose identity is new names itself.

    >>> first_rows(Ids(np.array([5, 7, 5]), np.zeros(3, np.int64))).tolist()
    [0, 1, 0]
    """
    code, check = ids.code, ids.check
    if len(code) < 2 or bool(np.all(code[1:] > code[:-1])):  # Ids that only grow can't repeat.
        return np.arange(len(code))
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    found: Int = first[inverse]
    if not np.array_equal(check[found], check):  # Several texts of one code.
        taken: dict[Identity, int] = {}
        found = np.array([taken.setdefault(one, row) for row, one in enumerate(ids.tolist())], np.int64)
    return found


def rows_in(known: Ids, asked: Ids, ordered: bool = False) -> Int:
    """(m,) the row among `known` of each of `asked`; -1 where it is not there. Of equal ones, the first.

    ordered : whether the codes of `known` never fall

    >>> rows_in(Ids(np.array([5, 7]), np.zeros(2, np.int64)), Ids(np.array([7, 6]), np.zeros(2, np.int64))).tolist()
    [1, -1]
    """
    if len(known) == 0 or len(asked) == 0:
        return np.full(len(asked), -1, np.int64)
    order = None if ordered else np.argsort(known.code, kind="stable")
    place = np.minimum(np.searchsorted(known.code, asked.code, sorter=order), len(known) - 1)
    row = place if order is None else order[place]
    near = known.code[row] == asked.code
    there = near & (known.check[row] == asked.check)
    found: Int = np.where(there, row, -1)
    if not np.array_equal(near, there):  # Several texts of one code: this one may be another of them.
        rows: dict[Identity, int] = {}
        for k, one in enumerate(known.tolist()):
            rows.setdefault(one, k)
        for k in np.flatnonzero(near & ~there).tolist():
            found[k] = rows.get(asked.at(k), -1)
    return found


def category_texts_of(numbers: NDArray[Any], texts: IdTexts) -> IdTexts:
    """The texts of the categories among these numbers, of any shape: a category's text goes by its code and 0."""
    known = {float(code): text for (code, _), text in texts.items() if not is_hashed(code)}
    if not known:
        return {}
    asked = np.unique(numbers[np.isin(numbers, list(known))]).tolist()
    return {(int(code), 0): known[code] for code in asked}


def texts_of(keys: NDArray[Any], checks: NDArray[Any], texts: IdTexts) -> IdTexts:
    """The texts of these identities, (n,) or of any shape, among `texts`."""
    if not texts:
        return {}
    asked = set(zip(keys.ravel().tolist(), checks.ravel().tolist(), strict=True))
    return {one: texts[one] for one in asked if one in texts}
