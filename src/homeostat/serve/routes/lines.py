"""`/write`, `/api/v2/write` and `/ping`: InfluxDB's line protocol in, with its answers.

Source: the HTTP APIs of InfluxDB 1.8 (`/write`) and 2.7 (`/api/v2/write`).
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from homeostat.adapters.influx.line_protocol import NANOSECONDS, BadLine
from homeostat.decide.intake.values import shown
from homeostat.engine.problems import problem
from homeostat.records import software
from homeostat.serve.headers import masked
from homeostat.serve.replies import JSON, Headers, Receive, Send, encode, nothing, refuse, reply
from homeostat.serve.requests import Scope
from homeostat.serve.routes.measured import body_in, lines, measuring_of, parsed, taken
from homeostat.serve.routes.resources import Refused
from homeostat.serve.routes.route import Service

WRITE, WRITE_2, PING = "/write", "/api/v2/write", "/ping"
_SHOWN_MAX = 100  # Bad lines that an answer names; all are in the dead letters.
_VERSION: Headers = ((b"x-influxdb-version", f"homeostat-{software.VERSION}".encode()),)


async def post(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Take lines in: 204 where every one is valid, 400 with the faulty ones otherwise. The valid ones are kept."""
    try:
        measuring_of(service)
        precision = _precision(scope)
        body = await body_in(service, scope, receive)
    except Refused as error:
        await refuse(send, *error.reply)
        return
    bad = await taken(service, await parsed(body, lambda text: lines(text, precision)))
    if not bad:
        await nothing(send, _VERSION)
        return
    await reply(send, 400, encode(_partial(bad, body)), JSON, _VERSION)


async def ping(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """That the server answers."""
    await nothing(send, _VERSION)


def _precision(scope: Scope) -> str:
    asked = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    found = asked.get("precision", "ns") or "ns"
    if found not in NANOSECONDS:
        detail = f"the precision is {found[:100]!r}"
        raise Refused(400, "Unknown precision", detail, f"It may be: {', '.join(NANOSECONDS)}.")
    return found


def _partial(bad: list[BadLine], body: bytes) -> dict[str, object]:
    """The answer to lines of which some are bad, in the members of InfluxDB 1 (`error`) and 2 (`code`, `message`)."""
    found = [(masked(shown(one.text)), one.why, one.number) for one in bad[:_SHOWN_MAX]]
    said = "\n".join(f"unable to parse '{text}': {why}" for text, why, _ in found)
    error = f"partial write: {said} dropped={len(bad)}"
    fix = "Correct the lines that are named, and send only these again: all others were taken."
    return problem(
        400, "Partial write", f"{len(bad)} lines can't be used", fix,
        error=error, code="invalid", message=error, dropped=len(bad),
        lines=[{"line": number or None, "text": text, "why": why} for text, why, number in found],
    )  # fmt: skip
