"""A route of the HTTP interface, and the service that all routes work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry

from homeostat.engine.engine import Engine
from homeostat.engine.faults import Reports
from homeostat.engine.health_ring import HealthRing
from homeostat.engine.turns import Turns
from homeostat.serve.access import Access
from homeostat.serve.confirming import Confirming
from homeostat.serve.limits import Bucket
from homeostat.serve.replies import Receive, Send
from homeostat.serve.requests import Scope
from homeostat.serve.stores import Stores
from homeostat.serve.streaming import Streams
from homeostat.serve.traces import RequestTraces

AGAIN = ((b"retry-after", b"1"),)
WRITTEN_A_SECOND = 20.0  # More questions and feedback than people write; programs come back a little later.


@dataclass(slots=True)
class Service:
    """The objects that the routes work with.

    turns : whatever needs the engine takes its turn here
    registry : the engine's metrics
    access : lets requests in; None lets all in
    streams : of news, to all who listen
    health : the figures of the last day
    written : bounds how many questions and how much feedback are taken
    stores : behind jobs, settings and versions
    """

    engine: Engine
    turns: Turns[Any]
    registry: CollectorRegistry
    traces: RequestTraces
    reports: Reports
    access: Access | None
    stores: Stores = field(default_factory=Stores)
    streams: Streams = field(init=False)
    health: HealthRing = field(init=False)
    written: Bucket = field(default_factory=lambda: Bucket(WRITTEN_A_SECOND))

    def __post_init__(self) -> None:
        self.streams = Streams(lambda: self.stores, None if self.engine.waits_for_servers else self.engine)

        self.health = HealthRing(self.registry)

    @property
    def confirming(self) -> Confirming:
        """Makes and checks the tokens of previews."""
        return Confirming.of(self.engine.parts.loop.stages.coding)


Handler = Callable[[Service, Scope, Receive, Send], Awaitable[None]]


class Route(NamedTuple):
    """The methods that a path takes, and its handler."""

    methods: tuple[str, ...]
    handler: Handler
