"""InfluxDB's line protocol: bytes become points, and a bad line costs only itself.

Most lines hold neither quotes nor backslashes and belong to a series that came before. They take a short way: split,
look up, convert. All other lines, and every line of which the short way is not sure, are read by one strict grammar.
Source: the line protocol reference of InfluxDB 2 and the decoder of github.com/influxdata/line-protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

FieldValue = float | int | str | bool
K = TypeVar("K")
T = TypeVar("T")

NANOSECONDS = {"ns": 1, "n": 1, "us": 10**3, "u": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
"""Nanoseconds of each unit that a writer may name as its precision."""

_SERIES_MAX = 100_000  # About 50 MB of names; the cache is emptied when it is full.
_WORD = rb"(?:[^\x00-\x20\x7f,=\\]|\\[ ,=]?)++"
_NAME = rb"(?!\#)(?:[^\x00-\x20\x7f,\\]|\\[ ,]?)++"
_STRING = rb'"(?:[^"\\]|\\["\\]?)*+"'
_PLAIN = rb'[^,\x20\r\n"][^,\x20\r\n]*+'
_HEAD = rb"(%b)((?:,%b=%b)*+)" % (_NAME, _WORD, _WORD)
_FIELD = rb"(%b)=(%b|%b)" % (_WORD, _STRING, _PLAIN)
_FIELDS = rb"((?:%b=(?:%b|%b))(?:,%b=(?:%b|%b))*+)" % (_WORD, _STRING, _PLAIN, _WORD, _STRING, _PLAIN)
_END = rb"\x20*+(?:\r?\n|\r?\Z)"
_BLANK = re.compile(rb"\x20*+(?:\#[^\x00-\x1f\x7f]*+)?(?:\r?\n|\r?\Z)")
_LINE = re.compile(rb"\x20*+%b\x20++%b(?:\x20++(-?[0-9]++))?%b" % (_HEAD, _FIELDS, _END))
_START = re.compile(rb"\x20*+%b\x20" % _HEAD)
_START_AND_FIELDS = re.compile(rb"\x20*+%b\x20++%b(?=[\x20\r\n]|\Z)" % (_HEAD, _FIELDS))
_TAG_PAIR = re.compile(rb",(%b)=(%b)" % (_WORD, _WORD))
_FIELD_PAIR = re.compile(_FIELD + rb"(?:,|\Z)")
_ESCAPED = re.compile(rb"\\([ ,=])")
_ESCAPED_NAME = re.compile(rb"\\([ ,])")
_ESCAPED_STRING = re.compile(rb'\\(["\\nrt])')
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_NUMBER = re.compile(rb"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(rb"-?[0-9]{1,40}")
_BOOLEANS = dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), True) | dict.fromkeys(
    (b"f", b"F", b"false", b"False", b"FALSE"), False
)
_FIELDS_MAX = 1000  # Of a line that goes the short way.
_SEPARATORS = b"=," * _FIELDS_MAX
_NO_SEPARATORS = bytes(set(range(256)) - set(b"=,"))
_DIGITS = b"0123456789.-"  # No exponent: 1e999 is infinite, and no number of the protocol.
_SHORT = 300  # Bytes of fields, with which no float reaches 1e308. The values of more are read by the strict rules.
_I = 105
_BEYOND = 2**63
_made = tuple.__new__
_INFINITE = float("inf")


class Series(NamedTuple):
    """A measurement and its tags, sorted by key: the identity of a series."""

    measurement: str
    tags: tuple[tuple[str, str], ...]


class Point(NamedTuple):
    """One line: fields of one series at one time, in nanoseconds since 1970; None is the time of reception."""

    series: Series
    fields: dict[str, FieldValue]
    time_ns: int | None


class BadLine(NamedTuple):
    """A line that is not line protocol: its number from 1, its bytes, and the reason."""

    number: int
    text: bytes
    why: str


class Parsed(NamedTuple):
    """The points of a text in order, and the lines that are none."""

    points: list[Point]
    bad: list[BadLine]


class LineProtocol:
    """A parser that remembers the series and the field names it has seen; used by one thread at a time.

    >>> parsed = LineProtocol().parse(b"cpu,host=a idle=98.5 1000\\nbad line\\n")
    >>> parsed.points[0].fields, parsed.points[0].time_ns, parsed.bad[0].number
    ({'idle': 98.5}, 1000, 2)
    """

    def __init__(self) -> None:
        """Start with no series known."""
        self._series: dict[bytes, Series] = {}
        self._names: dict[bytes, str] = {}
        self._layouts: dict[tuple[bytes, ...], tuple[str, ...]] = {}  # The fields' keys of a line, and their names.

    def parse(self, text: bytes, precision: str = "ns") -> Parsed:
        """The points of `text`, and its bad lines.

        precision : the unit of the timestamps, a key of `NANOSECONDS`.
        A bad line ends at its first line feed, so that an open quote costs no other line.
        Raises ValueError if the precision is unknown.
        """
        if precision not in NANOSECONDS:
            raise ValueError(f"precision {precision!r} is unknown: use one of {', '.join(NANOSECONDS)}")
        unit = NANOSECONDS[precision]
        parsed = Parsed([], [])
        points, known, start, size = parsed.points, self._known, 0, len(text)
        if b'"' not in text:  # No line goes beyond its line feed, so that they can be split at once.
            for line in text.split(b"\n"):
                point = known(line, unit)
                if point is not None:
                    points.append(point)
                elif start < size:
                    self._any(text, start, start + len(line), unit, parsed)
                start += len(line) + 1
            return parsed
        while start < size:
            end = text.find(b"\n", start)
            end = size if end < 0 else end
            line = text[start:end]
            point = None if b'"' in line else known(line, unit)
            if point is not None:
                points.append(point)
                start = end + 1
            else:
                start = self._any(text, start, end, unit, parsed)
        return parsed

    def _known(self, line: bytes, unit: int) -> Point | None:
        """The point of a line without quotes, of a series and of fields that are known; None if the grammar decides."""
        parts = line.split(b" ")
        series = self._series.get(parts[0])
        if series is None or len(parts) != 3:
            return None
        _, pairs, time = parts
        if len(time) > 19 or not time.isdigit():
            return None
        tokens = pairs.replace(b"=", b",").split(b",")
        names = self._layouts.get(tuple(tokens[::2]))
        if names is None or pairs.translate(None, _NO_SEPARATORS) != _SEPARATORS[: 2 * len(names) - 1]:
            return None  # The separators come in turn: a=1=b=2 has the tokens of a=1,b=2, too.
        values = tokens[1::2]
        kinds = b"".join(values).translate(None, _DIGITS)
        fields: dict[str, FieldValue]
        try:  # Of digits, points and signs Python makes the numbers that the protocol does.
            if not kinds and len(pairs) < _SHORT:
                fields = dict(zip(names, map(float, values), strict=True))
            elif not kinds.strip(b"i") and len(pairs) < _SHORT:
                fields = {
                    name: float(value) if value[-1] != _I else int(value[:-1]) if len(value) < 20 else _value(value)
                    for name, value in zip(names, values, strict=True)
                }
            else:
                fields = {name: _value(value) for name, value in zip(names, values, strict=True)}
        except (ValueError, IndexError):
            return None
        time_ns = int(time) * unit
        return _made(Point, (series, fields, time_ns)) if time_ns < _BEYOND else None

    def _any(self, text: bytes, start: int, end: int, unit: int, parsed: Parsed) -> int:
        """Read the line at `start` by the grammar into `parsed`; returns where the next line starts."""
        if blank := _BLANK.match(text, start):
            return blank.end()
        match = _LINE.match(text, start)
        try:
            if match is None:
                raise ValueError(_why(text[start:end]))
            parsed.points.append(self._point(match, unit))
        except ValueError as e:
            number = text.count(b"\n", 0, start) + 1
            parsed.bad.append(BadLine(number, text[start:end], _reason(e)))
            return end + 1
        return match.end()

    def _point(self, match: re.Match[bytes], unit: int) -> Point:
        """The point of a line that has the right form. Raises ValueError if a value is out of range or no value."""
        name, tags, pairs, time = match.groups()
        series = self._series_of(name, tags)
        found = _FIELD_PAIR.findall(pairs)
        names = tuple(self._name(key) for key, _ in found)
        fields = {name: _value(value) for name, (_, value) in zip(names, found, strict=True)}
        if len(names) <= _FIELDS_MAX and b"\\" not in pairs:
            _remember(self._layouts, tuple(key for key, _ in found), names)
        if time is None:
            return Point(series, fields, None)
        time_ns = _integer(time, -(2**63), 2**63, "timestamp") * unit
        if not -(2**63) <= time_ns < 2**63:
            raise ValueError("timestamp is out of range")
        return Point(series, fields, time_ns)

    def _series_of(self, name: bytes, tags: bytes) -> Series:
        key = name + tags
        series = self._series.get(key)
        if series is None:
            pairs = [(_word(k), _word(v)) for k, v in _TAG_PAIR.findall(tags)]
            if len(dict(pairs)) < len(pairs):
                raise ValueError("a tag key comes twice")
            series = Series(_ESCAPED_NAME.sub(rb"\1", name).decode(), tuple(sorted(pairs)))
            _remember(self._series, key, series)
        return series

    def _name(self, key: bytes) -> str:
        name = self._names.get(key)
        if name is None:
            name = _word(key)
            _remember(self._names, key, name)
        return name


def lines_of(points: list[Point]) -> Iterator[bytes]:
    """Each point as a line, without its line feed; nanoseconds.

    >>> list(lines_of([Point(Series("my cpu", (("host", "a"),)), {"idle": 98.5, "n": 2}, 1000)]))
    [b'my\\\\ cpu,host=a idle=98.5,n=2i 1000']
    """
    for (measurement, tags), fields, time_ns in points:
        head = re.sub(r"([ ,])", r"\\\1", measurement) + "".join(f",{_escaped(k)}={_escaped(v)}" for k, v in tags)
        pairs = ",".join(f"{_escaped(k)}={_written(v)}" for k, v in fields.items())
        yield f"{head} {pairs}{'' if time_ns is None else f' {time_ns}'}".encode()


def _escaped(word: str) -> str:
    return re.sub(r"([ ,=])", r"\\\1", word)


def _written(value: FieldValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, int):
        return f"{value}{'i' if value < 2**63 else 'u'}"
    return repr(value)


def _remember(known: dict[K, T], key: K, value: T) -> None:
    if len(known) >= _SERIES_MAX:
        known.clear()
    known[key] = value


def _word(token: bytes) -> str:
    return _ESCAPED.sub(rb"\1", token).decode()


def _value(token: bytes) -> FieldValue:
    """The value of a field. Raises ValueError if it is none."""
    if token[0] == 34:  # A double quote.
        return _ESCAPED_STRING.sub(lambda m: _LETTERS.get(m[1], m[1]), token[1:-1]).decode()
    if token in _BOOLEANS:
        return _BOOLEANS[token]
    if token[-1:] == b"i":
        return _integer(token[:-1], -(2**63), 2**63, "integer")
    if token[-1:] == b"u":
        return _integer(token[:-1], 0, 2**64, "unsigned integer")
    if not _NUMBER.fullmatch(token):
        raise ValueError("a field's value is neither number, boolean nor quoted string")
    number = float(token)
    if number in (_INFINITE, -_INFINITE):
        raise ValueError("a float is out of range")
    return number


def _integer(token: bytes, low: int, below: int, kind: str) -> int:
    if not _INTEGER.fullmatch(token) or (low == 0 and token[:1] == b"-"):
        raise ValueError(f"{kind} is invalid")
    number = int(token)
    if not low <= number < below:
        raise ValueError(f"{kind} is out of range")
    return number


def _reason(error: ValueError) -> str:
    return "text is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _why(line: bytes) -> str:
    """Which part of a line that has the wrong form is the first to have it."""
    if re.match(rb"\x20*+(?:,|\Z)", line):
        return "missing measurement"
    if not _START.match(line):
        return "invalid measurement or tags, or missing fields"
    if not _START_AND_FIELDS.match(line):
        return "invalid fields"
    return "invalid timestamp"
