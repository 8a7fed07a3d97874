"""A change as the row that every store of settings keeps, and the digest that chains the rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from homeostat.records.changes import Change, ChangeKind

COLUMNS = (
    "number", "at_ns", "kind", "scope", "body", "before", "before_expires_ns", "actor", "reason", "key", "expires_ns",
    "reverts",
)  # fmt: skip
START = bytes(32)  # The digest before the first change.
NAME_CHARS_MAX = 200  # Of a scope, an actor, a key.
REASON_CHARS_MAX = 2000
BODY_BYTES_MAX = 1 << 20  # As JSON; a list of 50,000 entries of 20 characters.
_TIME_MAX = (1 << 63) - 1
_EPOCH = datetime(1970, 1, 1)

Row = tuple[Any, ...]


def body_text(body: Mapping[str, Any] | None) -> str | None:
    """A body as JSON, in the one form that is stored. Raises ValueError for what JSON can't hold, or is too long.

    >>> body_text({"b": 1.0, "a": [True]})
    '{"a":[true],"b":1.0}'
    """
    if body is None:
        return None
    try:
        text = json.dumps(dict(body), sort_keys=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"a change's body is JSON: {error}") from None
    if len(text) > BODY_BYTES_MAX:
        raise ValueError(f"a change's body has {len(text)} bytes as JSON; {BODY_BYTES_MAX} are the most")
    return text


def read_body(text: str | None) -> dict[str, Any] | None:
    """A body from its stored form. Raises ValueError."""
    if text is None:
        return None
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("a change's body is no JSON object")
    return body


def checked(change: Change) -> Change:
    """The change as it will be read back. Raises ValueError for one that can't be stored."""
    for name, most, least in (
        ("scope", NAME_CHARS_MAX, 1), ("actor", NAME_CHARS_MAX, 1), ("reason", REASON_CHARS_MAX, 1),
        ("key", NAME_CHARS_MAX, 0),
    ):  # fmt: skip
        text = getattr(change, name)
        if not least <= len(text) <= most or not text.isprintable():
            raise ValueError(f"a change's {name} has {least} to {most} printable characters")
    if change.expires_ns is not None and not 0 < change.expires_ns <= _TIME_MAX:
        raise ValueError("a change expires between 1970 and 2262")
    return replace(change, kind=ChangeKind(change.kind), body=read_body(body_text(change.body)))


def placed(change: Change, number: int, at_ns: int, last: Change | None) -> Change:
    """A checked change at its place among the others.

    last : the last change of its scope
    """
    before, until = (None, None) if last is None else (last.body, last.expires_ns)
    return replace(change, number=number, at_ns=at_ns, before=before, before_expires_ns=until)


def as_row(change: Change) -> Row:
    """A stored change by `COLUMNS`."""
    texts = {"body": body_text(change.body), "before": body_text(change.before), "kind": str(change.kind)}
    return tuple(texts[name] if name in texts else getattr(change, name) for name in COLUMNS)


def of_row(row: Sequence[Any]) -> Change:
    """A change from its row. Raises ValueError, TypeError where the row is damaged or of a newer version."""
    values = dict(zip(COLUMNS, row, strict=True))
    bodies = {name: read_body(values[name]) for name in ("body", "before")}
    return Change(**{**values, **bodies, "kind": ChangeKind(values["kind"])})


def chained(previous: bytes, row: Row) -> bytes:
    """The digest of a row and of all before it.

    previous : of the change before it, `START` before the first
    """
    return sha256(previous + json.dumps(row, separators=(",", ":")).encode()).digest()


def same_wish(one: Change, other: Change) -> bool:
    """Whether two changes ask for the same, so that one key may stand for both."""
    return (one.where, body_text(one.body)) == (other.where, body_text(other.body))


def shown(change: Change) -> dict[str, Any]:
    """A change as a JSON object for people and programs; times are ISO 8601.

    >>> one = Change(ChangeKind.LEARNING, "policy", {"on": False}, "ann", "odd labels", number=7, at_ns=1_500_000_000)
    >>> shown(one)["at"], shown(one)["expires"], shown(one)["before"]
    ('1970-01-01T00:00:01.500000000Z', None, None)
    """
    return {
        "number": change.number, "at": _when(change.at_ns), "kind": str(change.kind), "scope": change.scope,
        "body": change.body, "before": change.before, "actor": change.actor, "reason": change.reason,
        "key": change.key or None, "expires": _when(change.expires_ns), "reverts": change.reverts or None,
    }  # fmt: skip


def _when(at_ns: int | None) -> str | None:
    if at_ns is None:
        return None
    seconds, rest = divmod(at_ns, 10**9)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
