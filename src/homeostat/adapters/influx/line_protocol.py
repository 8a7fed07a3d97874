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
_DIGITS = b"0123456789.eE-+"
_PLUS = 43  # Python accepts a number with a plus, and the protocol does not.
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
        points, start, size = parsed.points, 0, len(text)
        while start < size:
            end = text.find(b"\n", start)
            end = size if end < 0 else end
            point = self._known(text[start:end], unit)
            if point is not None:
                points.append(point)
                start = end + 1
            else:
                start = self._any(text, start, end, unit, parsed)
        return parsed

    def _known(self, line: bytes, unit: int) -> Point | None:
        """The point of a simple line of a known series; None if the grammar has to decide."""
        if b'"' in line or b"\\" in line:
            return None
        parts = line.split(b" ")
        series = self._series.get(parts[0])
        if series is None or len(parts) != 3 or not parts[2].isdigit() or len(parts[2]) > 19:
            return None
        time_ns = int(parts[2]) * unit
        if time_ns >= 2**63:
            return None
        names = self._names
        fields: dict[str, FieldValue] = {}
        for pair in parts[1].split(b","):
            key, _, value = pair.partition(b"=")
            name = names.get(key)
            if name is None or not value:
                return None
            if not value.strip(_DIGITS) and value[0] != _PLUS:
                try:
                    number = float(value)
                except ValueError:
                    return None
                if number in (_INFINITE, -_INFINITE):
                    return None
                fields[name] = number
            else:
                try:
                    fields[name] = _value(value)
                except ValueError:
                    return None
        return Point(series, fields, time_ns)

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
        fields = {self._name(key): _value(value) for key, value in _FIELD_PAIR.findall(pairs)}
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


def _remember(known: dict[bytes, T], key: bytes, value: T) -> None:
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
