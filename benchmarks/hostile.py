"""Hostile input for every road in: JSON, CSV, Parquet, fields of an entry, app files. The same for the same seed."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

_DIGITS = b"9" * 5000
VALUES: tuple[bytes, ...] = (
    b"NaN", b"-Infinity", b"Infinity", b"1e999", b"-1e999", b"1E-9999999999999999999", b"1e-400", b"5e-324", _DIGITS,
    b"-" + _DIGITS, b"9" * 400 + b".5", b"0." + b"9" * 60, b"0.99999999999999999", b"99.999999999999999999", b"-0",
    b"-0.0", b"00", b"01", b"1.", b".5", b"+1", b"1e", b"0x10", b"1_000", b"9007199254740993", b"9223372036854775808",
    b"18446744073709551616", b"2305843009213693952", b"-2305843009213693952", b"null", b"true", b"false", b"1.5",
    b"5.0", b"-1", b"[]", b"{}", b"[1]", b'{"a": 1}', b'""', b'" "', b'"0"', b'"12"', b'"1e5"', b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\\u0000"', b'"\\u202e"', b'"\xff\xfe"', b'"\xc3\xa9"', b'"\xed\xa0\x80"', b'"' + b"x" * 300 + b'"',
    b'"\\x"', b'"\x01"', b'"\n"', b'"2026-01-30T12:00:00Z"', b'"2016-12-31T23:59:60Z"', b'"2026-13-45"',
    b'"1750-01-01"',
    b'"9999-12-31T23:59:59.999999999+23:59"', b'"0000-01-01"', b"1800000000", b"1800000000.999999999999",
    b"1800000000000", b"-62135596800", b'"' + b"\\\\" * 40 + b'\\"', b"[" * 70 + b"]" * 70, b"tru", b"nul", b"'a'",
)  # fmt: skip
_TOKENS: tuple[bytes, ...] = (
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'\\"', b"\\u12", b" ", b"\n", b"\r", b"\t", b"\0",
    b"\xef\xbb\xbf", b"\xff", b"//", b"/**/", b"#", b";", b"'", b"=", b"\x1b[31m", b"\x85", b"\xe2\x80\xa8",
)  # fmt: skip
_FAMILIES: tuple[Callable[[int], bytes], ...] = (
    lambda n: b'["' + b'\\"' * n,
    lambda n: b'{"a": "' + b'\\"' * n,
    lambda n: b'{"a": "' + b"\\" * n + b'"}',
    lambda n: b"[" * n,
    lambda n: b'{"a":' * n,
    lambda n: b'"' * n,
    lambda n: b"[" + b"[]," * n + b"x]",
    lambda n: b"[" + b"{}," * n + b"{}]",
    lambda n: b'{"a": ' + b"9" * n + b"}",
    lambda n: b'{"a": 0.' + b"0" * n + b"1e" + b"9" * 9 + b"}",
    lambda n: b"{" + b",".join(b'"%d":%d' % (k, k) for k in range(n // 8)) + b"}",
    lambda n: b"{" + b'"a":1,' * (n // 6) + b'"a":1}',
    lambda n: b" " * n + b"{}",
    lambda n: b'{"a": "' + b"\\ud800" * (n // 6) + b'"}',
)


class Hostile:
    """A source of hostile input.

    event : a sound event of a number, as the app or schema under test declares it
    """

    def __init__(self, seed: int, event: Callable[[int], dict[str, Any]]) -> None:
        self.rng = random.Random(seed)
        self._event = event

    def json(self, number: int) -> bytes:
        """A message: sound, nearly so, or nothing of the kind."""
        kind = self.rng.random()
        if kind < 0.15:
            return self._sound(number)
        if kind < 0.50:
            return self._with_values(number)
        if kind < 0.70:
            return self.damaged(self._sound(number))
        if kind < 0.80:
            return b"".join(self.rng.choices((*_TOKENS, *VALUES[:60]), k=self.rng.randrange(1, 30)))
        if kind < 0.90:
            return self._nested(0)
        if kind < 0.97:
            return self._surrounded(number)
        return self.rng.choice(_FAMILIES)(self._size())

    def body(self, number: int) -> bytes:
        """A request's body: a message, or an array of some."""
        if self.rng.random() < 0.6:
            return self.json(number)
        items = [self.json(number * 16 + k) for k in range(self.rng.randrange(6))]
        whole = b"[" + b",".join(items) + b"]"
        return self.damaged(whole) if self.rng.random() < 0.2 else whole

    def fields(self, number: int) -> dict[bytes, bytes]:
        """The fields of an entry in a stream of texts."""
        found = {name.encode(): str(value).encode() for name, value in self._event(number).items()}
        for name in self.rng.sample(sorted(found), self.rng.randrange(3)):
            found[name] = self.rng.choice((self.rng.choice(VALUES), self.rng.randbytes(self.rng.randrange(12)), b""))
        if self.rng.random() < 0.1:
            found[self.rng.choice((b"value", b"key", b"\xff", b"", b"traceparent"))] = self.rng.randbytes(3)
        if self.rng.random() < 0.1:
            found.pop(self.rng.choice(sorted(found)))
        return found or {b"a": b"b"}

    def csv(self, rows: int, header: Sequence[str]) -> bytes:
        """A file of so many lines below a header, some of them broken, now and then the header too."""
        separator, end = (
            self.rng.choice((b",", b",", b",", b";", b"\t")),
            self.rng.choice((b"\n", b"\n", b"\r\n", b"\r")),
        )
        lines = [separator.join(name.encode() for name in header)]
        for number in range(rows):
            event = self._event(number)
            cells = [str(event.get(name, "")).encode() for name in header]
            if self.rng.random() < 0.5:
                cells[self.rng.randrange(len(cells))] = self.rng.choice(VALUES)
            line = separator.join(cells)
            lines.append(self.damaged(line) if self.rng.random() < 0.3 else line)
        if self.rng.random() < 0.02:
            lines.append(self.rng.choice((b'"', b"9", b"x", b",", b'""')) * self._size())
        if self.rng.random() < 0.02:
            lines[0] = self.damaged(lines[0])
        return end.join(lines) + self.rng.choice((end, b""))

    def parquet(self, names: Sequence[str]) -> bytes:
        """A file of a few rows, its columns of any types, its bytes damaged now and then."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = self.rng.randrange(1, 9)
        columns = {}
        for name in names:
            values = [self._event(number).get(name) for number in range(rows)]
            if self.rng.random() < 0.4:
                values = self._column(rows)
            try:
                columns[name] = pa.array(values)
            except (pa.ArrowException, OverflowError, TypeError):
                columns[name] = pa.array([None if value is None else str(value) for value in values])
        sink = io.BytesIO()
        packing = self.rng.choice(("none", "snappy", "zstd", "gzip"))
        checked = self.rng.random() < 0.3
        pq.write_table(pa.table(columns), sink, compression=packing, write_page_checksum=checked)
        whole = sink.getvalue()
        return self.damaged(whole) if self.rng.random() < 0.5 else whole

    def text(self, whole: str) -> str:
        """A text with some damage, half a surrogate pair now and then."""
        how = self.rng.choice(("replace", "surrogateescape", "ignore", "backslashreplace"))
        return self.damaged(whole.encode()).decode("utf-8", how)

    def damaged(self, whole: bytes) -> bytes:
        """Bytes flipped, dropped, doubled, put in or cut off, at a few places."""
        found = bytearray(whole)
        for _ in range(self.rng.randrange(1, 5)):
            at = self.rng.randrange(len(found) + 1)
            kind = self.rng.randrange(7)
            if kind == 0 and at < len(found):
                found[at] ^= 1 << self.rng.randrange(8)
            elif kind == 1:
                del found[at : at + self.rng.randrange(1, 9)]
            elif kind == 2:
                found[at:at] = self.rng.choice(_TOKENS)
            elif kind == 3:
                found[at:at] = self.rng.choice(VALUES)
            elif kind == 4:
                start = self.rng.randrange(len(found) + 1)
                found[at:at] = found[start : start + self.rng.randrange(1, 40)]
            elif kind == 5:
                found[at : at + 4] = self.rng.randbytes(4)
            else:
                del found[len(found) - self.rng.randrange(len(found) // 4 + 1) :]
        return bytes(found)

    def _sound(self, number: int) -> bytes:
        return json.dumps(self._event(number)).encode()

    def _with_values(self, number: int) -> bytes:
        members = {name: json.dumps(value).encode() for name, value in self._event(number).items()}
        for name in self.rng.choices((*members, "other"), k=self.rng.randrange(1, 4)):
            members[name] = self.rng.choice(VALUES)
        return b"{" + b", ".join(b'"%b": %b' % (name.encode(), value) for name, value in members.items()) + b"}"

    def _nested(self, depth: int) -> bytes:
        kind = self.rng.randrange(5)
        if depth > 5 or kind < 2:
            return self.rng.choice(VALUES)
        parts = [self._nested(depth + 1) for _ in range(self.rng.randrange(4))]
        if kind == 2:
            return b"[" + b",".join(parts) + b"]"
        names = [*self._event(0), "other"]
        return b"{" + b",".join(b'"%b":%b' % (self.rng.choice(names).encode(), part) for part in parts) + b"}"

    def _surrounded(self, number: int) -> bytes:
        sound = self._sound(number)
        return self.rng.choice((
            sound + sound, sound + b",", b"[" + sound, sound + b"]", b"\xef\xbb\xbf" + sound,
            sound.decode().encode("utf-16"), b"\x1f\x8b" + sound, b"", b" ", b"null",
            sound[: self.rng.randrange(len(sound))], b"\n" + sound + b"\n",
        ))  # fmt: skip

    def _size(self) -> int:
        return self.rng.choice((10, 100, 1000, 1000, 10_000, 60_000 if self.rng.random() < 0.3 else 5000))

    def _column(self, rows: int) -> list[Any]:
        """Values of one type that Python has and Parquet can hold."""
        rng = self.rng
        makers: tuple[Callable[[], Any], ...] = (
            lambda: rng.randrange(-(2**63), 2**63),
            lambda: rng.randrange(2**63, 2**64),
            lambda: rng.uniform(-1e20, 1e20),
            lambda: rng.choice((float("nan"), float("inf"), -0.0, 1e308)),
            lambda: rng.random() < 0.5,
            lambda: rng.randbytes(rng.randrange(20)),
            lambda: rng.choice(("", "a", "12", "\0", "x" * 300, "2026-01-01")),
            lambda: [rng.randrange(9)],
            lambda: {"a": rng.randrange(9)},
            lambda: None,
        )
        make = rng.choice(makers)
        return [None if rng.random() < 0.1 else make() for _ in range(rows)]
