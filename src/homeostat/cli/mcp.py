"""`homeostat mcp`: serves reading and proposing to an outside assistant, over the Model Context Protocol."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from homeostat.cli.explain import shared_of, shown_of
from homeostat.cli.failures import CommandError
from homeostat.cli.plan_stores import incidents_of, plans_of
from homeostat.cli.settings import store_of
from homeostat.cli.version_stores import Config, Data, store_place, stores_of

if TYPE_CHECKING:
    from homeostat.serve.assistants.desk import Sources


def mcp(
    app: str,
    /,
    *,
    data: Data = None,
    config: Config = None,
    bundle: Annotated[Path | None, Parameter(help="The bundle that decides, for explanations.")] = None,
    read_only: Annotated[bool, Parameter(negative="", help="Leave out the tools that keep proposals.")] = False,
    actor: Annotated[str, Parameter(help="The name that proposals are kept under.")] = "assistant",
    port: Annotated[int | None, Parameter(help="Serve HTTP at this port of 127.0.0.1, to API keys.")] = None,
) -> None:
    """Let an outside assistant read incidents, plans and decisions, and propose causes and remedies.

    It speaks the Model Context Protocol over standard input and output. No tool acts: a proposal is tested by
    maintenance as its own hypotheses are, and a person decides on it.

    Parameters
    ----------
    app
        A shipped app (payments, access, infra) or an app file: that of the server.
    """
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.serve.assistants.desk import Desk
    from homeostat.serve.assistants.server import server_of

    if not actor.strip() or len(actor) > 100 or not actor.isprintable():
        raise CommandError("--actor is a name of at most 100 characters")
    store_place(data, config, "incidents")
    desk = Desk(sources(app, data, config, bundle), f"assistant {actor}", SystemClock())
    server = server_of(desk, not read_only)
    desk.health()  # A store that can't be read is a sentence now, and not at the first call.
    if port is None:
        print("serves the Model Context Protocol on standard input and output", file=sys.stderr, flush=True)
        server.run("stdio")
        return
    _over_http(server, data, config, port, not read_only)


def sources(app: str, data: Path | None, config: Path | None, bundle: Path | None) -> Sources:
    """An app and its stores, as options name them. Raises AppFileError, PluginError."""
    from homeostat.app.investigating import known_kinds
    from homeostat.config.causal import causal_graph
    from homeostat.config.gate_faults import ACTING
    from homeostat.config.load import load_app
    from homeostat.serve.assistants.desk import Sources

    loaded = load_app(app)

    def explain(event: str) -> dict[str, Any]:
        from homeostat.engine.explaining import sentences

        shown = shared_of(event, config, app, bundle) if data is None else shown_of(event, data, app, bundle)
        named = shown.copy()
        named["event_id"] = "One event"  # The id may name a person, and the assistant knows it.
        return {"action": shown["action"], "risk": shown["risk"], "sentences": sentences(named)}

    def versions(limit: int) -> list[dict[str, Any]]:
        from homeostat.models.deployments import roles
        from homeostat.models.shown import summary

        with stores_of(data, config) as stores:
            has = roles(stores.settings)
            return [summary(one, has.get(one.version, [])) for one in stores.registry.versions(limit)]

    return Sources(
        loaded.app, lambda: incidents_of(data, config), lambda: plans_of(data, config), lambda: store_of(data, config),
        explain, versions, lambda: _health(data, config), causal_graph(loaded),
        known_kinds(), ACTING,
    )  # fmt: skip


def _health(data: Path | None, config: Path | None) -> dict[str, Any]:
    """Whether maintenance runs, how far it is, and how many incidents are open."""
    from dataclasses import asdict

    from homeostat.records.incidents import Phase

    with incidents_of(data, config) as store:
        lease = store.lease() if hasattr(store, "lease") else None
        waiting = [phase for phase in Phase if phase != Phase.CLOSED]
        count = len(store.list(waiting, 1000))
    return {
        "incidents_open": count, "maintained": lease is not None and lease.lives,
        "maintenance": None if lease is None else asdict(lease.state),
    }  # fmt: skip


def _over_http(server: Any, data: Path | None, config: Path | None, port: int, proposes: bool) -> None:
    """Serve HTTP on this machine's own address. Raises CommandError where there is no API key to ask for."""
    from homeostat.serve.assistants.http import serve_http

    if data is None or config is not None:
        raise CommandError("--port needs --data FOLDER, whose API keys it asks for: see homeostat keys create")
    if not 0 < port < 65_536:
        raise CommandError("--port is from 1 to 65535")

    def ready() -> None:
        print(f"serves the Model Context Protocol at http://127.0.0.1:{port}/mcp", file=sys.stderr, flush=True)

    serve_http(server, data, port, "operate" if proposes else "read", ready)
