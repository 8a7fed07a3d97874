"""`/v1/decisions` and `/v1/entities/KIND/ID`: the decisions that were made, by what they decided, of whom and when."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from homeostat.adapters.journals.entries import JournalError
from homeostat.config.instants import instant_ns
from homeostat.engine.answers import answer as answer_of
from homeostat.engine.answers import entities_of
from homeostat.errors import Unavailable
from homeostat.ports.decision_lists import DecisionLists, DecisionListsError, DecisionPage, Listed, Place, Wanted
from homeostat.records.times import time_text
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Problems, done, problem
from homeostat.serve.routes.resources import Refused, unusable
from homeostat.serve.routes.route import AGAIN, Service

ALL = "/v1/decisions"
PAGE_MAX, PAGE_USUAL = 500, 50
NAMES_MAX, NAME_CHARS_MAX, TEXT_MAX = 10, 100, 300
FILTERS = ("from", "to", "action", "entity", "rule", "version", "min_score", "degraded")
KNOWN = frozenset({*FILTERS, "limit", "cursor", "raw"})
PATIENCE_S = 0.8  # A list answers within a second.
_BOOLEAN = {"true": True, "1": True, "false": False, "0": False}
_TAG_BYTES = 16
_T = TypeVar("_T")
_WITHOUT = ("No list here", "there is no list of decisions")
PROBLEMS: Problems = {
    DecisionListsError: problem(503, "Index unusable", more=AGAIN),
    JournalError: problem(503, "Journal unusable", more=AGAIN),
    Unavailable: problem(503, "Unavailable", "Send the same request again later.", AGAIN),
}


async def list_of(service: Service, asked: Asked) -> Answer:
    """A page of the list that is asked for."""
    wanted = asked.wanted
    limit = limit_of(asked.values)
    cursors, now_ns = Cursors.of(service), service.engine.parts.clock.now_ns()
    below, as_of = cursors.read(asked.values.get("cursor", []), wanted)
    page = await looked(service, lambda lists: lists.page(wanted, limit, below, as_of, PATIENCE_S))
    return 200, {
        "items": [shown(one) for one in page.items], **ends(page, now_ns),
        "next_cursor": None if page.following is None else cursors.made(page.following, page.as_of, wanted),
    }, ()  # fmt: skip


async def looked(service: Service, look: Callable[[DecisionLists], _T]) -> _T:
    """The result of a look at the lists, in a thread. Raises Refused where this server has none."""
    return await done(service.stores.decisions, look, *_WITHOUT)


def ends(page: DecisionPage, now_ns: int) -> dict[str, Any]:
    """The members that say of when a list is, and how far it goes."""
    found: dict[str, Any] = {"as_of": time_text(now_ns)}
    if page.scanned_ns is not None:
        found["scanned_to"] = time_text(page.scanned_ns)
    if page.kept_since_ns is not None:
        found["kept_since"] = time_text(page.kept_since_ns)
    return found


def shown(one: Listed) -> dict[str, Any]:
    """A decision of a list, with its entities."""
    return {**answer_of(one.batch, one.row), "entities": entities_of(one.batch, one.row), "entry": one.place.entry}


# The request.


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a request, by name, and the decisions that they ask for.

    raw : whether cells of an export are for programs
    """

    values: dict[str, list[str]]
    wanted: Wanted
    raw: bool


def asked_of(scope: Scope, kinds: Collection[str]) -> Asked:
    """The parameters of a request, read. Raises Refused.

    kinds : of entities that the app has
    """
    values = parameters(scope)
    wanted = wanted_of(values)
    if wanted.entity is not None and wanted.entity[0] not in kinds:
        raise unusable("entity", wanted.entity[0], f"KIND:ID, with a kind of {', '.join(sorted(kinds))}")
    return Asked(values, wanted, bool(_boolean(values, "raw")))


def parameters(scope: Scope) -> dict[str, list[str]]:
    """The values of each parameter, in order. Raises Refused at one that is not known, so that no filter is lost."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if name not in KNOWN:
            fix = f"There are: {', '.join(sorted(KNOWN))}."
            raise Refused(422, "Unusable request", f"there is no parameter {name[:100]!r}", fix)
        found.setdefault(name, []).append(value)
    return found


def wanted_of(asked: dict[str, list[str]]) -> Wanted:
    """The decisions that the parameters ask for. Raises Refused."""
    usual, risk, entity = Wanted(), _one(asked, "min_score"), _one(asked, "entity")
    since, until = _instant(asked, "from"), _instant(asked, "to")
    return Wanted(
        usual.since_ns if since is None else since, usual.until_ns if until is None else until,
        _names(asked, "action"), _names(asked, "rule"), _names(asked, "version"),
        None if entity is None else _entity(entity), None if risk is None else _share(risk),
        _boolean(asked, "degraded"),
    )  # fmt: skip


def limit_of(asked: dict[str, list[str]]) -> int:
    """How many decisions a page has at the most. Raises Refused."""
    text = _one(asked, "limit")
    if text is None:
        return PAGE_USUAL
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= PAGE_MAX):
        raise unusable("limit", text, f"a whole number from 1 to {PAGE_MAX}")
    return int(text)


def _one(asked: dict[str, list[str]], name: str) -> str | None:
    values = asked.get(name, [])
    if len(values) > 1:
        raise unusable(name, values[1], "one value")
    return values[0] if values else None


def _boolean(asked: dict[str, list[str]], name: str) -> bool | None:
    text = _one(asked, name)
    if text is not None and text not in _BOOLEAN:
        raise unusable(name, text, "true or false")
    return None if text is None else _BOOLEAN[text]


def _names(asked: dict[str, list[str]], name: str) -> tuple[str, ...]:
    values = tuple(asked.get(name, ()))
    if len(values) > NAMES_MAX or any(len(value) > NAME_CHARS_MAX for value in values):
        raise unusable(name, values[0], f"at most {NAMES_MAX} names of at most {NAME_CHARS_MAX} characters")
    return values


def _instant(asked: dict[str, list[str]], name: str) -> int | None:
    text = _one(asked, name)
    if text is None:
        return None
    try:
        return instant_ns(text)
    except ValueError:
        raise unusable(name, text, "an ISO 8601 time such as 2026-01-30T12:00:00Z") from None


def _entity(text: str) -> tuple[str, str]:
    kind, colon, key = text.partition(":")
    if not kind or not colon or not key or len(text) > TEXT_MAX:
        raise unusable("entity", text, f"KIND:ID of at most {TEXT_MAX} characters, such as customer:4711")
    return kind, key


def _share(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise unusable("min_score", text, "a number from 0 to 1")
    return found


class Cursors:
    """Makes and reads the cursors of lists: signed, and good for the list that they are of alone."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def of(cls, service: Service) -> Cursors:
        """With the secret of the app's journal, which every process that serves it knows."""
        return cls(service.confirming.secret)

    def made(self, place: Place, as_of: int, wanted: Wanted) -> str:
        """The cursor of the page below a place."""
        text = json.dumps([*place, as_of]).encode()
        return base64.urlsafe_b64encode(self._tag(text, wanted) + text).rstrip(b"=").decode()

    def read(self, values: list[str], wanted: Wanted) -> tuple[Place | None, int | None]:
        """The place and the last entry that a cursor names; None for both without one. Raises Refused."""
        if not values:
            return None, None
        try:
            if len(values) > 1 or len(values[0]) > TEXT_MAX:
                raise ValueError
            raw = base64.b64decode(values[0] + "=" * (-len(values[0]) % 4), b"-_", validate=True)
            tag, text = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
            if not hmac.compare_digest(tag, self._tag(text, wanted)):
                raise ValueError
            time_ns, entry, row, as_of = json.loads(text)
        except ValueError:
            fix = "Send next_cursor of a page as it is, with the same filters; or no cursor for the first page."
            raise Refused(
                404, "No such page", f"no page of this list has the cursor {values[0][:100]!r}", fix
            ) from None
        return Place(time_ns, entry, row), as_of

    def _tag(self, text: bytes, wanted: Wanted) -> bytes:
        return hmac.digest(self._secret, b"lists" + repr(wanted).encode() + text, sha256)[:_TAG_BYTES]


def in_turn(service: Service, loop: asyncio.AbstractEventLoop) -> Callable[[Callable[[], Any]], Any]:
    """Calls a look at the engine's journal, from another thread, when it is its turn."""
    return lambda look: asyncio.run_coroutine_threadsafe(service.turns.call(look), loop).result()
