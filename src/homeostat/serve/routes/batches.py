"""Requests that hold one JSON object or an array of them: read, worked on in turn, and answered in kind."""

from __future__ import annotations

import asyncio

from homeostat.engine.turns import Work
from homeostat.serve.bodies import NotJson, decoded, items
from homeostat.serve.inflating import NotGzip, TooLarge, inflated
from homeostat.serve.replies import JSON, PROBLEM, Receive, Send, encode, refuse, reply
from homeostat.serve.requests import BODY_BYTES_MAX, BodyTooLarge, Scope, body_of, content
from homeostat.serve.routes.route import Service

_CODINGS = ((b"accept-encoding", b"gzip"),)


async def answer_all(
    service: Service, scope: Scope, receive: Receive, send: Send, work: Work, rows_max: int | None = None
) -> None:
    """Read one object or an array of them, and answer in kind.

    rows_max : so many are worked on at a time, and other requests in between; None is all at once
    """
    kind, coding = content(scope)
    if kind not in (b"application/json", b""):
        shown = kind[:100].decode("latin-1")
        await refuse(send, 415, "Not JSON", f"the content type is {shown}", "Send application/json.")
        return
    if coding not in (b"", b"identity", b"gzip"):
        shown = coding[:100].decode("latin-1")
        detail = f"the content encoding is {shown}"
        await refuse(send, 415, "Unknown encoding", detail, "Send it as it is, or as gzip.", _CODINGS)
        return
    body = await body_of(receive)
    if coding == b"gzip":
        body = await _inflated(service, body)
    began_ns = service.traces.begin()
    sent = await _parsed(service, body)
    if isinstance(sent, list):
        if rows_max is None:
            answers = await service.turns.submit(work, sent) if sent else []
        else:
            answers = await service.turns.submit_in_slices(work, sent, rows_max)
        service.traces.answered(scope, answers, began_ns, single=False)
        await reply(send, 200, encode(answers))
        return
    answer = (await service.turns.submit(work, [sent]))[0]
    if "errors" in answer:
        await reply(send, answer["status"], encode(answer), PROBLEM)
    else:
        await reply(send, 200, encode(answer), JSON, service.traces.answered(scope, [answer], began_ns, single=True))


async def _inflated(service: Service, body: bytes) -> bytes:
    """The content of a gzip body; what is none is put with the dead letters."""
    try:  # In a thread, since a few bytes may grow to the most that is read.
        return await asyncio.get_running_loop().run_in_executor(None, inflated, body, BODY_BYTES_MAX)
    except TooLarge as error:
        raise BodyTooLarge from error
    except NotGzip as error:
        await service.turns.submit(service.engine.answer, [body])
        raise NotJson(str(error)) from error


async def _parsed(service: Service, body: bytes) -> object:
    """A body as a JSON value; of an array of which some items are broken, the others and these as bytes.

    A body that is none of this is put with the dead letters, whatever the reader made of it. Raises NotJson.
    """
    try:
        return decoded(body)
    except Exception as error:  # An array is read once more, and says then what is wrong with it.
        why = error
    try:
        if isinstance(why, NotJson):
            return await asyncio.get_running_loop().run_in_executor(None, items, body)
    except Exception as error:
        why = error
    await service.turns.submit(service.engine.answer, [body])
    if not isinstance(why, NotJson):
        service.reports.fault("the reading of a body", why)
        raise NotJson("something in it can't be read") from why
    raise why
