"""`/v1/jobs`: long work beside the decisions, submitted, looked at, cancelled and retried."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, TypeVar

from homeostat.config.job_kinds import BadJob, attempts_max
from homeostat.config.job_requests import arguments_of
from homeostat.errors import Conflict, Unavailable
from homeostat.ports.jobs import Jobs, QueueFull, UnknownJob, change
from homeostat.records.job import Job, JobState, facts
from homeostat.serve.bodies import NotJson, decoded
from homeostat.serve.replies import JSON, Headers, Receive, Send, encode, refuse, reply
from homeostat.serve.requests import Scope, body_of, is_bare
from homeostat.serve.routes.resources import (
    NUMBER_MAX,
    Refused,
    changer,
    declared_as_json,
    if_match,
    key_of,
    number_of,
    query_of,
    tagged,
    take_only,
    unusable,
)
from homeostat.serve.routes.route import AGAIN, Service

BELOW = "/v1/jobs/"
PAGE_MAX, LOG_BYTES_MAX = 500, 1 << 18
_Found = TypeVar("_Found")
_ONE = re.compile(r"([1-9][0-9]{0,15})(/log|:cancel|:retry|)")
_SEE = "See /openapi.json for what there is."


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """The list of jobs, and new ones."""
    await _answer(scope, send, _submit if scope["method"] == "POST" else _list, service, receive)


async def handle_one(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """One job, its log, and what is done to it."""
    await _answer(scope, send, _one, service, receive)


async def _answer(scope: Scope, send: Send, act: Any, service: Service, receive: Receive) -> None:
    """Reply with what `act` returns: status, value and headers. Errors of the store become problems."""
    bare = is_bare(scope)
    try:
        status, value, more = await act(service, scope, receive)
    except Refused as error:
        await refuse(send, *error.reply, bare=bare)
    except BadJob as error:
        fix = "Send a kind and arguments as /openapi.json describes them."
        await refuse(send, 422, "Unusable job", str(error), fix, bare=bare)
    except UnknownJob as error:
        await refuse(send, 404, "No such job", str(error), error.remedy + ".", bare=bare)
    except Conflict as error:
        await refuse(send, 409, "Conflict", str(error), error.remedy + ".", bare=bare)
    except QueueFull as error:
        await refuse(send, 429, "Too many jobs", str(error), error.remedy + ".", AGAIN, bare)
    except Unavailable as error:
        fix = "Nothing was changed; send the same request again later."
        await refuse(send, 503, "Unavailable", str(error), fix, AGAIN, bare)
    else:
        await reply(send, status, encode(value), JSON, more, bare)


async def _list(service: Service, scope: Scope, receive: Receive) -> tuple[int, Any, Headers]:
    asked = query_of(scope, "state", "limit", "cursor")
    state = asked.get("state")
    if state is not None and state not in list(JobState):
        raise unusable("state", state, ", ".join(JobState))
    limit, below = number_of(asked, "limit", 1, PAGE_MAX, 50), number_of(asked, "cursor", 1, NUMBER_MAX, 0)
    states = [] if state is None else [JobState(state)]
    found = await _done(service, lambda store: store.list(states, limit, below or None))
    page = {"jobs": [facts(job) for job in found], "next": found[-1].id if len(found) == limit else None}
    return 200, page, ()


async def _submit(service: Service, scope: Scope, receive: Receive) -> tuple[int, Any, Headers]:
    actor = changer(service, scope)
    declared_as_json(scope)
    body = decoded(await body_of(receive))
    if isinstance(body, list):
        raise NotJson("the body is an array; one job is asked for")
    given = body if isinstance(body, dict) else {}
    kind, arguments = given.get("kind"), given.get("arguments")
    if set(given) != {"kind", "arguments"} or not isinstance(kind, str) or not isinstance(arguments, dict):
        raise BadJob("the body must be an object with `kind`, a text, and `arguments`, an object, and nothing else")
    words, key = arguments_of(kind, arguments), key_of(scope)
    now_ns = service.engine.parts.clock.now_ns()
    made = Job(kind, words, actor=actor, key=key, attempts_max=attempts_max(kind), created_ns=now_ns)
    job = await _done(service, lambda store: store.submit(made))
    place = ((b"location", f"{BELOW}{job.id}".encode()),)
    new = (job.revision, job.created_ns) == (1, now_ns)  # Else it is the job that has the key.
    return 201 if new else 200, facts(job), place


async def _one(service: Service, scope: Scope, receive: Receive) -> tuple[int, Any, Headers]:
    found = _ONE.fullmatch(scope["path"][len(BELOW) :])
    if found is None:
        raise Refused(404, "Not found", f"there is no {scope['path'][:256]}", _SEE)
    id, what = int(found[1]), found[2]
    take_only(scope, *(("POST",) if what.startswith(":") else ("GET", "HEAD")))
    if what == "/log":
        return await _log(service, scope, id)
    if not what:
        job = await _done(service, lambda store: store.get(id))
        return 200, facts(job), tagged(job.revision)
    actor, now_ns, seen = changer(service, scope), service.engine.parts.clock.now_ns(), if_match(scope)

    def made(job: Job) -> Job:
        if seen not in (None, job.revision):
            fix = "Look at the job again; leave If-Match away to change it as it is."
            raise Refused(412, "Changed meanwhile", f"job {id} is at revision {job.revision}", fix)
        return job.again() if what == ":retry" else job.asked_to_cancel(actor, now_ns)

    job = await _done(service, lambda store: change(store, id, made))
    return 200, facts(job), tagged(job.revision)


async def _log(service: Service, scope: Scope, id: int) -> tuple[int, Any, Headers]:
    asked = query_of(scope, "offset", "limit")
    offset = number_of(asked, "offset", 0, NUMBER_MAX, 0)
    limit = number_of(asked, "limit", 1, LOG_BYTES_MAX, 1 << 16)
    state = (await _done(service, lambda store: store.get(id))).state
    part = await _done(service, lambda store: store.read(id, offset, limit))
    following = part.offset + len(part.data)
    text = part.data.decode("utf-8", "replace")
    return 200, {"offset": part.offset, "next": following, "end": part.end, "state": state, "text": text}, ()


async def _done(service: Service, act: Callable[[Jobs], _Found]) -> _Found:
    """The store's answer, asked for in a thread, since the store waits for a disk or a server."""
    opened = service.stores.jobs
    if opened is None:
        fix = "Start the server with --data FOLDER, or on servers with a journal."
        raise Refused(404, "No jobs here", "this server keeps nothing, so it has no jobs", fix)
    return await asyncio.get_running_loop().run_in_executor(None, lambda: act(opened()))
