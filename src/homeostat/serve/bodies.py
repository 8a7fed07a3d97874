"""Request bodies as JSON values. One broken item of an array costs the others nothing."""

from __future__ import annotations

from homeostat.decide.intake.border import Broken, body_of, items_of
from homeostat.decide.intake.border import TooMany as _TooMany


class NotJson(ValueError):
    """A body that is no JSON at all; the text says what is wrong."""


class TooMany(NotJson):
    """A body with more items than are read of one."""


def decoded(body: bytes) -> object:
    """A body as a JSON value. Raises NotJson, also for an array with a broken item: `items` still reads the others."""
    try:
        return body_of(body)
    except Broken as error:
        raise _refused(error) from None


def items(body: bytes) -> list[object]:
    """The items of an array, each read on its own; one that is no JSON says why, and becomes a dead letter.

    Raises NotJson where the body is no array, or does not end.
    """
    try:
        return items_of(body)
    except Broken as error:
        raise _refused(error) from None


def _refused(error: Broken) -> NotJson:
    return (TooMany if isinstance(error, _TooMany) else NotJson)(f"the body {error}")
