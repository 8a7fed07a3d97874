"""Times as nanoseconds since 1970 UTC, from ISO 8601 text and from seconds.

Text is `2018-04-01`, `2018-04-01T12:30`, `2018-04-01 12:30:31.123456789+02:00` and the like: `T` or a space between
date and time, up to nine digits of a second after `.` or `,`, `Z`, `+hh`, `+hhmm` or `+hh:mm` as zone, UTC without
one. A leap second, 23:59:60 in UTC, is taken as the second before it. A number is seconds since 1970; a number of
milliseconds is always out of range, so the two can't be confused.
"""

from __future__ import annotations

import re
from datetime import date, datetime

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int

# 1900-01-01 and 2262-01-01. Below -2**62 (1823) a time is no time for the windows, and their length and delay, up to
# 76 years together, must fit above it; int64 ends a little after 2262.
TIME_MIN = -2_208_988_800 * 10**9
TIME_MAX = 9_214_646_400 * 10**9
_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:([Zz])|([+-])(\d\d)(?::?(\d\d))?)?)?",
    re.ASCII,
)
_LONGEST = 35  # 2018-04-01T12:30:31.123456789+02:00
_LONGEST_DAY = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_LAYOUTS_MAX = 8  # Of one length; rows in yet another layout are read one by one.


def time_of_text(text: str) -> int | None:
    """The instant that a text names, None if it names none or one before 1900 or after 2261.

    >>> time_of_text("1970-01-01T01:00:00.5+01:00")
    500000000
    >>> time_of_text("1970-13-01") is None
    True
    >>> time_of_text("2016-12-31T23:59:60Z") == time_of_text("2016-12-31T23:59:59Z")
    True
    """
    length = len(text)
    if (
        (length == 19 or (length == 20 and text[19] in "Zz"))
        and text[4] == text[7] == "-"
        and text[13] == text[16] == ":"
        and text[17] != "6"
    ):
        return _plain_time(text)
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, zone_hour, zone_minute = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH
    except ValueError:
        return None
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    zh, zm = int(zone_hour or 0), int(zone_minute or 0)
    ahead = (zh * 60 + zm) * (-1 if sign == "-" else 1)
    if s == 60 and (h * 60 + m - ahead) % 1440 == 1439:
        s = 59
    if h > 23 or m > 59 or s > 59 or zh > 23 or zm > 59:
        return None
    seconds = days * _DAY + (h * 60 + m - ahead) * 60 + s
    return _bounded(seconds * 10**9 + (int(fraction.ljust(9, "0")) if fraction else 0))


def _plain_time(text: str) -> int | None:
    """The commonest layout, three times as fast as by the pattern."""
    if text[10] not in "Tt ":
        return None
    try:
        moment = datetime.fromisoformat(text[:19])
    except ValueError:
        return None
    days = moment.toordinal() - _EPOCH
    return _bounded((days * _DAY + moment.hour * 3600 + moment.minute * 60 + moment.second) * 10**9)


def time_of_seconds(seconds: int | float) -> int | None:
    """Seconds since 1970 as nanoseconds, None when out of range or not finite.

    >>> time_of_seconds(1.5)
    1500000000
    >>> time_of_seconds(1522540800000) is None  # Milliseconds.
    True
    """
    if not -1e10 < seconds < 1e10:
        return None
    whole = int(seconds // 1)
    return _bounded(whole * 10**9 + (round((seconds - whole) * 1e9) if isinstance(seconds, float) else 0))


def span_text(span_ns: int) -> str:
    """A span for people, to about a hundredth.

    >>> [span_text(int(s * 10**9)) for s in (0.25, 59, 125, 22 * 3600 - 1, 22 * 3600 + 300, 3 * 86400, 366 * 86400)]
    ['0.25 s', '59 s', '2 min 5 s', '22 h', '22 h 5 min', '3 d', '366 d']
    """
    seconds = round(span_ns / 10**9)
    if seconds < 60:
        return f"{span_ns / 10**9:.3g} s"
    if seconds < 3570:
        large, rest, names = *divmod(seconds, 60), ("min", "s")
    elif seconds < 172_770:
        large, rest, names = *divmod(round(seconds / 60), 60), ("h", "min")
    else:
        large, rest, names = *divmod(round(seconds / 3600), 24), ("d", "h")
    return f"{large} {names[0]}" + (f" {rest} {names[1]}" if rest and large < 100 else "")


def ahead_text(ahead_ns: int) -> str:
    """The words for a time so far ahead, for people."""
    return f"it is {span_text(ahead_ns)} ahead of the clock"


def _bounded(ns: int) -> int | None:
    return ns if TIME_MIN <= ns < TIME_MAX else None


def times_of_seconds(seconds: Float) -> tuple[Int, Bytes]:
    """`time_of_seconds` of (n,) floats: nanoseconds and a mask of those that are in range."""
    ok = (seconds > -9e9) & (seconds < 9.3e9)
    safe = np.where(ok, seconds, 0.0)
    whole = np.floor(safe)
    ns = whole.astype(np.int64) * 10**9 + np.rint((safe - whole) * 1e9).astype(np.int64)
    return ns, (ok & (ns >= TIME_MIN) & (ns < TIME_MAX)).view(np.uint8)


def times_of_texts(data: Bytes, offsets: Int) -> tuple[Int, Bytes]:
    """`time_of_text` of n texts that lie one after the other in `data`.

    offsets : (n + 1,) where each begins and the last ends
    Returns (n,) nanoseconds and a mask; what the mask leaves out may still be a time, in a layout that is rare here.
    """
    lengths = np.diff(offsets)
    ns = np.zeros(len(lengths), np.int64)
    ok = np.zeros(len(lengths), np.uint8)
    for length in np.flatnonzero(np.bincount(np.minimum(lengths, _LONGEST + 1), minlength=_LONGEST + 2)):
        if not 10 <= length <= _LONGEST:
            continue
        rows = np.flatnonzero(lengths == length)
        if len(rows) == len(lengths):
            text = data[offsets[0] : offsets[-1]].reshape(-1, length)
        else:
            text = data[offsets[rows][:, None] + np.arange(length)]
        _read_length(text, rows, ns, ok)
    return ns, ok


def _read_length(text: Bytes, rows: Int, ns: Int, ok: Bytes) -> None:
    """Texts of one length, one layout after the other: a layout is the text with every digit made 0."""
    layouts = np.where((text >= ord("0")) & (text <= ord("9")), np.uint8(ord("0")), text)
    for _ in range(_LAYOUTS_MAX):
        if not len(rows):
            return
        same = (layouts == layouts[0]).all(axis=1)
        match = _ISO.fullmatch(layouts[0].tobytes().decode("latin-1"))
        if match is not None:
            chosen = slice(None) if same.all() else same
            ns[rows[chosen]], ok[rows[chosen]] = _read_layout(text[chosen], match)
        text, rows, layouts = text[~same], rows[~same], layouts[~same]


def _read_layout(text: Bytes, match: re.Match[str]) -> tuple[Int, Bytes]:
    """Texts of one layout, whose groups lie where `match` says."""

    def number(group: int) -> Int:
        total = np.zeros(len(text), np.int64)
        if match[group] is not None:
            for column in range(*match.span(group)):
                total = total * 10 + (text[:, column] - np.uint8(ord("0")))
        return total

    year, month, day, hour, minute, second = (number(group) for group in range(1, 7))
    zone_hour, zone_minute = number(10), number(11)
    days, ok = _days(year, month, day)
    sign = -1 if match[9] == "-" else 1
    minutes = (hour - sign * zone_hour) * 60 + minute - sign * zone_minute
    second = np.where((second == 60) & (minutes % 1440 == 1439), 59, second)
    ok &= (hour <= 23) & (minute <= 59) & (second <= 59) & (zone_hour <= 23) & (zone_minute <= 59)
    seconds = days * _DAY + minutes * 60 + second
    ok &= (seconds >= TIME_MIN // 10**9) & (seconds < TIME_MAX // 10**9)
    fraction = number(7) * 10 ** (9 - len(match[7])) if match[7] is not None else 0
    return np.where(ok, seconds, 0) * 10**9 + fraction, ok.view(np.uint8)


def _days(year: Int, month: Int, day: Int) -> tuple[Int, np.ndarray[tuple[int, ...], np.dtype[np.bool_]]]:
    """Days since 1970 of Gregorian dates and which of them exist. Source: Hinnant, days_from_civil."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    longest = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[np.minimum(month, 12)] + (
        leap & (month == 2)
    )
    ok = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= longest)
    shifted = year - (month <= 2)
    era = shifted // 400
    year_of_era = shifted - era * 400
    day_of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468, ok
