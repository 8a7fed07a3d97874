"""Times as people read them."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

_EPOCH = date(1970, 1, 1)


def time_text(time_ns: int) -> str:
    """ISO 8601 in UTC, with as many decimals as it takes.

    >>> time_text(1_500_000_000), time_text(-1)
    ('1970-01-01T00:00:01.5Z', '1969-12-31T23:59:59.999999999Z')
    """
    seconds, rest = divmod(time_ns, 10**9)
    day, second = divmod(seconds, 86400)
    text = f"{_date_text(day)}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return f"{text}.{rest:09d}".rstrip("0") + "Z" if rest else text + "Z"


@lru_cache(maxsize=64)
def _date_text(day: int) -> str:
    """The date of a day since 1970: most decisions are of a few days."""
    return (_EPOCH + timedelta(days=day)).isoformat()
