"""`/v1/feedback/summary`: how much people and programs say of the decisions, and whether they are content."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from homeostat.models.feedback import trend_of
from homeostat.ports.decision_lists import EVER_NS, NEVER_NS
from homeostat.ports.statements import Statements, StatementsError
from homeostat.records.statements import Statement, StatementKind
from homeostat.records.times import time_text
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.routes.answering import Answer, Problems, answer, done, problem
from homeostat.serve.routes.decision_lists import PROBLEMS
from homeostat.serve.routes.health_figures import span_of
from homeostat.serve.routes.route import AGAIN, Service

PATH = "/v1/feedback/summary"
NUMBER_MAX = 20_000  # The newest pieces that are summed up.
_PROBLEMS: Problems = {StatementsError: problem(503, "Store unusable", more=AGAIN), **PROBLEMS}


async def handle(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Feedback by kind, by source and by day."""
    await answer(service, scope, receive, send, _summary, _PROBLEMS)


async def _summary(service: Service, scope: Scope, receive: Receive) -> Answer:
    since_ns, until_ns = span_of(scope)

    def look(store: Statements) -> Sequence[Statement]:
        return store.list(
            StatementKind.FEEDBACK, limit=NUMBER_MAX, from_ns=None if since_ns == EVER_NS else since_ns,
            until_ns=None if until_ns == NEVER_NS else until_ns,
        )  # fmt: skip

    found = await done(service.stores.statements, look, "No feedback here", "no feedback is kept")
    now_ns = service.engine.parts.clock.now_ns()
    return 200, {**summed(found), "as_of": time_text(now_ns)}, ()


def summed(found: Sequence[Statement]) -> dict[str, Any]:
    """Feedback as counts. A yes and a number above 0 are positive, a no and a number of 0 or less negative; texts
    count as neither.

    >>> one = Statement(StatementKind.FEEDBACK, "decision", "e1", "useful", True, "desk", at_ns=1)
    >>> summed([one])["positive"], summed([one])["kinds"][0]["satisfaction"]
    (1, 1.0)
    """
    kinds, sources = defaultdict[str, list[Statement]](list), defaultdict[str, list[Statement]](list)
    days = defaultdict[str, list[Statement]](list)
    for one in found:
        kinds[one.topic].append(one)
        sources[one.source].append(one)
        days[time_text(one.at_ns)[:10]].append(one)
    return {
        **_counts(found), "whole": len(found) < NUMBER_MAX,
        "kinds": [{"kind": kind, **_counts(kinds[kind])} for kind in sorted(kinds)],
        "sources": [{"source": source, **_counts(sources[source])} for source in sorted(sources)],
        "days": [{"day": day, **_counts(days[day])} for day in sorted(days)],
    }  # fmt: skip


def _counts(found: Sequence[Statement]) -> dict[str, Any]:
    """improvement : the satisfaction of the later half of the pieces less that of the earlier half"""
    ordered = sorted(found, key=lambda one: one.number)
    signs = [sign for sign in (_sign(one) for one in ordered) if sign is not None]
    half = len(signs) // 2
    earlier, later = signs[:half], signs[half:]
    return {
        "number": len(found), "positive": sum(signs), "negative": len(signs) - sum(signs),
        "satisfaction": sum(signs) / len(signs) if signs else None,
        "improvement": sum(later) / len(later) - sum(earlier) / len(earlier) if half else None,
        "trend": trend_of([one.at_ns for one in found]),
    }  # fmt: skip


def _sign(one: Statement) -> int | None:
    """1 for content, 0 for not content, None for neither."""
    return int(one.value > 0) if isinstance(one.value, bool | int | float) else None
