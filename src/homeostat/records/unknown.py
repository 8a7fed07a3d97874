"""Names in events that the app file does not declare: how many events had them, and no value of any."""

from __future__ import annotations

import re
from dataclasses import dataclass

from homeostat.records.events import DeadLetter
from homeostat.records.reasons import Reason

_DETAIL = re.compile(r"in ([0-9]{1,15}) of ([0-9]{1,15}) events, which were taken without it")


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that events had and that nobody declared: in `n` of `of` events that were looked at.

    at_ns : when they had been looked at
    """

    name: str
    n: int
    of: int
    at_ns: int = 0


def letter_of(one: UnknownName) -> DeadLetter:
    """The name as a line among the dead letters, though no event is one for it.

    >>> letter_of(UnknownName("amount_v2", 3, 9)).detail
    'in 3 of 9 events, which were taken without it'
    """
    detail = f"in {one.n} of {one.of} events, which were taken without it"
    return DeadLetter(0, one.name, "", Reason.UNKNOWN_NAME.value, detail)


def name_in(letter: DeadLetter, at_ns: int) -> UnknownName | None:
    """The name of such a line; None for any other letter."""
    found = _DETAIL.fullmatch(letter.detail) if letter.reason == Reason.UNKNOWN_NAME else None
    return None if found is None else UnknownName(letter.field, int(found[1]), int(found[2]), at_ns)
