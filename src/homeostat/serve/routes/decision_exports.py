"""Exports of a list of decisions: CSV or NDJSON, streamed as it is found, whole or visibly cut off."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from homeostat.engine.answers import answer as answer_of
from homeostat.engine.answers import entities_of
from homeostat.errors import Unavailable
from homeostat.ports.decision_lists import DecisionLists, DecisionPage, Listed, Place, Wanted
from homeostat.records.times import time_text
from homeostat.serve.replies import Headers, Receive, Send, encode
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Stream, answer
from homeostat.serve.routes.decision_lists import PROBLEMS, Asked, asked_of, list_of, looked, shown
from homeostat.serve.routes.resources import Refused, header_of
from homeostat.serve.routes.route import Service

CSV, NDJSON, JSON = b"text/csv", b"application/x-ndjson", b"application/json"
_KINDS = {CSV: b"text/csv; charset=utf-8", NDJSON: NDJSON}
_FIELDS = ("event_id", "time", "action", "proposed", "risk", "rule", "fallback", "late", "version", "settings", "entry")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
_PAGE, _PATIENCE_S = 500, 5.0
_WAIT_S, _WAITS_MAX = 0.2, 300  # For an index that is being made.


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The list of decisions: a page of it, or all of it as a file."""

    async def act(service: Service, scope: Scope, receive: Receive) -> Answer:
        kind, asked = asked_for(scope), asked_of(scope, service.engine.app.events.entities)
        if kind == JSON:
            return await list_of(service, asked)
        if {"limit", "cursor"} & asked.values.keys():
            fix = "Leave limit and cursor away: an export is of the whole list."
            raise Refused(422, "Unusable request", "an export has no pages", fix)
        return await export(service, scope, asked, kind)

    await answer(service, scope, receive, send, act, PROBLEMS)


def asked_for(scope: Scope) -> bytes:
    """The format that the request accepts: JSON where it does not say. Raises Refused."""
    accept = header_of(scope, b"accept")
    if accept is None:
        return JSON
    kinds = [part.partition(";")[0].strip().lower().encode("latin-1") for part in accept.split(",")]
    for kind in kinds:
        if kind in (CSV, NDJSON, JSON):
            return kind
        if kind in (b"*/*", b"application/*"):
            return JSON
        if kind == b"text/*":
            return CSV
    fix = f"Accept one of {JSON.decode()}, {CSV.decode()} and {NDJSON.decode()}."
    raise Refused(406, "Not acceptable", f"the list can't be sent as {accept[:100]!r}", fix)


async def export(service: Service, scope: Scope, asked: Asked, kind: bytes) -> Answer:
    """The whole list, newest first. Raises errors of the store that come before the first byte."""
    now_ns, pages = service.engine.parts.clock.now_ns(), _pages(service, asked.wanted)
    first = await anext(pages)
    query = scope["query_string"].decode("latin-1")
    head: Headers = (
        (b"homeostat-as-of", time_text(now_ns).encode()),
        (b"homeostat-filters", "".join(c for c in query if " " <= c <= "~").encode()),
        (b"content-disposition", b'attachment; filename="decisions.' + (b"csv" if kind == CSV else b"ndjson") + b'"'),
    )  # fmt: skip
    if first.kept_since_ns is not None:
        head = (*head, (b"homeostat-kept-since", time_text(first.kept_since_ns).encode()))
    entities = tuple(sorted(service.engine.app.events.entities))

    async def chunks() -> AsyncIterator[bytes]:
        if kind == CSV:
            yield _csv_lines([[*_FIELDS, *(f"entity:{name}" for name in entities)]])
        page: DecisionPage | None = first
        while page is not None:
            yield _as_csv(page.items, entities, asked.raw) if kind == CSV else _as_lines(page.items)
            page = await anext(pages, None)

    return 200, Stream(_KINDS[kind], chunks()), head


async def _pages(service: Service, wanted: Wanted) -> AsyncIterator[DecisionPage]:
    below: Place | None = None
    as_of: int | None = None
    waits = 0
    while True:
        page = await looked(service, partial(_next_page, wanted, below, as_of))
        yield page
        if page.following is None:
            return
        if page.following == below:  # The index is not that far yet.
            waits += 1
            if waits > _WAITS_MAX:
                raise Unavailable("the index of decisions does not go on: see the log of the server")
            await asyncio.sleep(_WAIT_S)
        below, as_of = page.following, page.as_of


def _next_page(wanted: Wanted, below: Place | None, as_of: int | None, lists: DecisionLists) -> DecisionPage:
    return lists.page(wanted, _PAGE, below, as_of, _PATIENCE_S)


def _as_lines(items: Sequence[Listed]) -> bytes:
    return b"".join(encode(shown(one)) + b"\n" for one in items)


def _as_csv(items: Sequence[Listed], entities: Sequence[str], raw: bool) -> bytes:
    rows = []
    for one in items:
        decision: dict[str, Any] = dict(answer_of(one.batch, one.row))
        keys = entities_of(one.batch, one.row)
        cells = [one.place.entry if name == "entry" else decision[name] for name in _FIELDS]
        rows.append([*cells, *(keys.get(name) for name in entities)])
    return _csv_lines(rows if raw else [[safe(cell) for cell in row] for row in rows])


def safe(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula.

    >>> safe("=1+1"), safe("-5"), safe(-5), safe("a=b")
    ("'=1+1", "'-5", -5, 'a=b')
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) else cell


def _csv_lines(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")
