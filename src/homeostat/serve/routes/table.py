"""The table of the HTTP interface: which resource is at which path."""

from __future__ import annotations

from homeostat.serve.routes import (
    audit,
    decide,
    decision_exports,
    decision_lists,
    decisions,
    deployments,
    document,
    entities,
    exported,
    feedback_summary,
    gate,
    health,
    health_figures,
    incidents,
    jobs,
    lines,
    links,
    memory,
    metrics,
    models,
    outcomes,
    overview,
    settings,
    silences,
    statements,
    stream,
)
from homeostat.serve.routes.route import Route

# By path; one that ends in / stands for all paths below it.
ROUTES: dict[str, Route] = {
    "/v1/decide": Route(("POST",), decide.post),
    "/v1/outcomes": Route(("POST",), outcomes.post),
    decision_lists.ALL: Route(("GET", "HEAD"), decision_exports.handle),
    entities.BELOW: Route(("GET", "HEAD"), entities.handle),
    decisions.BELOW: Route(("GET", "HEAD"), decisions.get),
    statements.QUESTIONS: Route(("GET", "HEAD"), statements.handle),
    statements.BELOW: Route(("GET", "HEAD", "POST"), statements.handle_one),
    statements.FEEDBACK: Route(("GET", "HEAD", "POST"), statements.feedback),
    incidents.ALL: Route(("GET", "HEAD"), incidents.handle),
    incidents.BELOW: Route(("GET", "HEAD", "POST"), incidents.handle_one),
    silences.ALL: Route(("GET", "HEAD", "POST"), silences.handle),
    silences.BELOW: Route(("GET", "HEAD", "POST"), silences.handle_one),
    gate.PATH: Route(("GET", "HEAD"), gate.handle),
    gate.STOPPING: Route(("POST",), gate.turn),
    gate.RESUMING: Route(("POST",), gate.turn),
    memory.ALL: Route(("GET", "HEAD"), memory.handle),
    memory.SEARCH: Route(("GET", "HEAD"), memory.search),
    memory.BELOW: Route(("GET", "HEAD"), memory.handle_one),
    links.BELOW: Route(("GET", "HEAD", "POST"), links.handle),
    incidents.SIGNALS: Route(("GET", "HEAD"), incidents.signals),
    "/v1/jobs": Route(("GET", "HEAD", "POST"), jobs.handle),
    jobs.BELOW: Route(("GET", "HEAD", "POST"), jobs.handle_one),
    settings.ALL: Route(("GET", "HEAD", "POST"), settings.handle),
    settings.PREVIEW: Route(("POST",), settings.preview),
    settings.BELOW: Route(("GET", "HEAD", "POST"), settings.handle_one),
    models.ALL: Route(("GET", "HEAD"), models.handle),
    models.BELOW: Route(("GET", "HEAD"), models.handle_one),
    deployments.ALL: Route(("GET", "HEAD", "POST"), deployments.handle),
    deployments.PREVIEW: Route(("POST",), deployments.preview),
    deployments.ROLLBACK: Route(("POST",), deployments.rollback),
    deployments.BELOW: Route(("GET", "HEAD"), deployments.handle_one),
    lines.WRITE: Route(("POST",), lines.post),
    lines.WRITE_2: Route(("POST",), lines.post),
    lines.PING: Route(("GET", "HEAD"), lines.ping),
    exported.REMOTE_WRITE: Route(("POST",), exported.remote),
    exported.OTLP: Route(("POST",), exported.export),
    overview.PATH: Route(("GET", "HEAD"), overview.handle),
    overview.ALERTS: Route(("GET", "HEAD"), overview.alerts),
    health_figures.SYSTEM: Route(("GET", "HEAD"), health_figures.system),
    health_figures.FEATURES: Route(("GET", "HEAD"), health_figures.features),
    health_figures.FUSION: Route(("GET", "HEAD"), health_figures.fusion),
    feedback_summary.PATH: Route(("GET", "HEAD"), feedback_summary.handle),
    audit.PATH: Route(("GET", "HEAD"), audit.handle),
    stream.PATH: Route(("GET", "HEAD"), stream.handle),
    "/healthz": Route(("GET", "HEAD"), health.get),
    "/metrics": Route(("GET", "HEAD"), metrics.get),
    "/openapi.json": Route(("GET", "HEAD"), document.get),
}
ASK = Route(("POST",), statements.ask)
_BELOW = {path: route for path, route in ROUTES.items() if path.endswith("/")}


def route_of(path: str, method: str = "GET") -> Route | None:
    """The route of a path; None where there is nothing. Event ids may end in anything, so a look is at a decision.

    >>> route_of("/v1/decisions/e1") is ROUTES["/v1/decisions/"], route_of("/v1/decisions/"), route_of("/nowhere")
    (True, None, None)
    """
    if path in _BELOW:
        return None
    if method == "POST" and len(path) > len(decisions.BELOW + statements.ASKING) and path.startswith(decisions.BELOW):
        return ASK if path.endswith(statements.ASKING) else ROUTES[decisions.BELOW]
    found = ROUTES.get(path)
    if found is not None:
        return found
    return next((route for start, route in _BELOW.items() if path.startswith(start)), None)
