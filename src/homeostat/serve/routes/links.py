"""`/v1/answers/TOKEN`: the page on which a person answers a plan that was announced to them, by a signed link.

A GET only shows the page: scanners of mail open links, and none of them may approve. The answer is a POST with a name
and a reason. The signature stands in for an API key; it says that the link came from here, and not who holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qsl

from homeostat.engine.links import BELOW, Link
from homeostat.errors import HomeostatError, Unavailable
from homeostat.ports.plans import AnswerVoid, NoResponse, ResponseMoved
from homeostat.records.responses import Approval, Response
from homeostat.serve.link_page import answered_page, asking_page, void_page
from homeostat.serve.replies import Headers, Receive, Send, refuse, reply
from homeostat.serve.requests import Scope, body_of, content, is_bare
from homeostat.serve.routes.plans import answering_of
from homeostat.serve.routes.resources import Refused
from homeostat.serve.routes.route import AGAIN, Service
from homeostat.serve.routes.words import ACTOR_CHARS_MAX, REASON_CHARS_MAX

__all__ = ["BELOW", "handle"]
_FORM = b"application/x-www-form-urlencoded"
HTML = b"text/html; charset=utf-8"
_Found = TypeVar("_Found")
_NEW = "Open the newest announcement, or look at the incident with homeostat incidents show."


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The page of a link, and the answer that is sent from it."""
    bare = is_bare(scope)
    try:
        status, page, more = await _answer(service, scope, receive)
    except Refused as error:
        await refuse(send, *error.reply, bare=bare, **error.members)
    except Unavailable as error:
        await refuse(send, 503, "Unavailable", str(error), "Open the link again later.", AGAIN, bare)
    except (AnswerVoid, NoResponse, ResponseMoved) as error:
        await reply(send, 409, void_page(str(error), _NEW), HTML, (), bare)
    except HomeostatError as error:
        await refuse(send, 503, "Store unusable", str(error), f"{error.remedy}.", AGAIN, bare)
    else:
        await reply(send, status, page, HTML, more, bare)


async def _answer(service: Service, scope: Scope, receive: Receive) -> tuple[int, bytes, Headers]:
    link = _link(service, scope)
    now_ns = service.engine.parts.clock.now_ns()
    if now_ns > link.until_s * 10**9:
        return 410, void_page("the time to answer is over", _NEW), ()
    if scope["method"] != "POST":
        response = await _in_thread(lambda: _look(service, link, now_ns))
        assert response.plan is not None, "it waits for an answer"
        return 200, asking_page(link, response, service.engine.parts.app.app), ()
    wait_s = service.written.take(service.engine.parts.clock.monotonic_ns() / 1e9)
    if wait_s:
        more = service.written.headers("written", wait_s)
        raise Refused(429, "Too many requests", "more is written than anybody reads", "Come back a little later.", more)
    who, reason, faults = await _said(scope, receive)
    if faults:
        return 422, void_page("; ".join(faults), "Go back, and fill the form in."), ()
    approval = Approval(link.plan, link.answer, f"{who} (link {link.channel})", reason, now_ns)
    await _in_thread(lambda: _store(service, link, approval))
    return 200, answered_page(link, who), ()


def _link(service: Service, scope: Scope) -> Link:
    """The content of the link. Raises Refused where there are none, or this one is not from here."""
    links = service.stores.links
    if links is None:
        fix = "Declare HOMEOSTAT_LINKS__SECRET and HOMEOSTAT_LINKS__URL, for the server and for maintenance."
        raise Refused(404, "No links here", "this server takes no answers by links", fix)
    found = links.read(scope["path"][len(BELOW) :])
    if found is None:
        raise Refused(404, "Not found", "this link was not signed here, or has lost a part of it", _NEW)
    return found


def _look(service: Service, link: Link, now_ns: int) -> Response:
    """The response, where an answer would count now. Raises AnswerVoid, NoResponse."""
    answering = answering_of(service)
    response = answering.plans.get(link.incident)
    approval = Approval(link.plan, link.answer, f"somebody (link {link.channel})", "to look", now_ns)
    answering.check(response, approval, named=False)
    return response


def _store(service: Service, link: Link, approval: Approval) -> None:
    answering_of(service).answer(link.incident, approval, named=False)


async def _said(scope: Scope, receive: Receive) -> tuple[str, str, list[str]]:
    """Name and reason from the form, and all that is wrong with them. Raises Refused."""
    kind, coding = content(scope)
    if kind != _FORM or coding not in (b"", b"identity"):
        raise Refused(415, "Not a form", "an answer is sent from the page of the link", "Open the link in a browser.")
    body = (await body_of(receive)).decode("utf-8", "replace")
    try:
        given = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=10))
    except ValueError:
        given = {}
    who, reason = (" ".join(given.get(name, "").split()) for name in ("actor", "reason"))
    faults = []
    if not who or len(who) > ACTOR_CHARS_MAX or not who.isprintable() or "(" in who:
        faults.append(f"your name has 1 to {ACTOR_CHARS_MAX} printable characters, and no brackets")
    if not reason or len(reason) > REASON_CHARS_MAX or not reason.isprintable():
        faults.append(f"the reason is a sentence of at most {REASON_CHARS_MAX} characters")
    return who, reason, faults


async def _in_thread(act: Callable[[], _Found]) -> _Found:
    return await asyncio.get_running_loop().run_in_executor(None, act)
