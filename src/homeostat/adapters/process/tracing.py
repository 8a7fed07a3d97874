"""OpenTelemetry traces, from an event to its decision to its outcome. The SDK is the extra `telemetry`.

An event that comes with a W3C `traceparent` is decided in that trace. One that comes with none gets a trace whose id is
a hash of its own id: so an outcome, which names the event, lands in the same trace without anything being looked up.
The decision's span has an id that is a hash of the event's id too, whichever trace it is in.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from homeostat.errors import needs
from homeostat.ports import Unavailable

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, SpanContext

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
RATIO = 0.01  # Of the events that come without a trace: one in a hundred is enough to see, and costs nothing.
LINKS_MAX = 32  # Of a batch's span to its events.
Attributes = Mapping[str, str | float | bool]
# Version 255 and ids of zeros are invalid; what a later version appends is left out.
_W3C = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?![^-])")
_LENGTH = 55
_SAMPLED = frozenset("13579bdf")
_BITS = 1 << 64


def continued(incoming: str | None) -> str | None:
    """A usable `traceparent`, as version 00; None where there is none.

    >>> continued("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    >>> continued("00-00000000000000000000000000000000-00f067aa0ba902b7-01") is None
    True
    """
    if incoming is None or _W3C.match(incoming) is None:
        return None
    if len(incoming) == _LENGTH:
        return incoming if incoming[0] == incoming[1] == "0" else f"00{incoming[2:]}"
    return None if incoming.startswith("00") else f"00{incoming[2:_LENGTH]}"


def traceparent_for(event_id: str, incoming: str | None = None, ratio: float = 0.0) -> str:
    """The trace context in which an event is decided: the one that it came with, or one made of its id.

    ratio : share of those without one that are sampled, chosen by the trace's id as OpenTelemetry does
    The trace's id is the first 16, the span's the next 8 bytes of the id's BLAKE2b hash.

    >>> traceparent_for("e1")
    '00-00c2a779afab6527d23abe4b04da694d-70db0eef4a6a0ed7-00'
    """
    known = continued(incoming)
    if known is not None:
        return known
    digest = blake2b(event_id.encode("utf-8", "surrogatepass"), digest_size=24, person=b"homeostat-trace").hexdigest()
    sampled = ratio > 0.0 and int(digest[16:32], 16) < ratio * _BITS
    return f"00-{digest[:32]}-{digest[32:]}-{'01' if sampled else '00'}"


def sampled(traceparent: str) -> bool:
    """Whether a usable context asks for its spans to be recorded."""
    return traceparent[_LENGTH - 1] in _SAMPLED


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which decisions are recorded. `parent_based`: those that come with a sampled context, whatever the ratio."""

    ratio: float = RATIO
    parent_based: bool = True

    @staticmethod
    def of(environ: Mapping[str, str]) -> Sampling:
        """As OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say. Raises Unavailable for what they can't say.

        >>> Sampling.of({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"})
        Sampling(ratio=0.5, parent_based=False)
        """
        name = environ.get("OTEL_TRACES_SAMPLER") or "parentbased_traceidratio"
        kind = name.removeprefix("parentbased_")
        text = environ.get("OTEL_TRACES_SAMPLER_ARG") or str(RATIO)
        try:
            ratio = {"always_on": 1.0, "always_off": 0.0}[kind] if kind != "traceidratio" else float(text)
        except (KeyError, ValueError):
            ratio = -1.0
        if not 0.0 <= ratio <= 1.0:
            raise Unavailable(
                "OTEL_TRACES_SAMPLER is always_on, always_off or traceidratio, perhaps with parentbased_ before it, "
                "and OTEL_TRACES_SAMPLER_ARG a number in [0, 1]"
            )
        return Sampling(ratio, kind != name)


@dataclass(frozen=True, slots=True)
class Traced:
    """A decision or an outcome as a span.

    incoming : the context that its message or request came with
    began_ns, ended_ns : nanoseconds since 1970
    served : it was asked for over HTTP, not read from a stream
    attributes : shown as homeostat.action, homeostat.risk, homeostat.version, homeostat.fallback, ...
    """

    event_id: str
    incoming: str | None
    began_ns: int
    ended_ns: int
    attributes: Attributes = field(default_factory=dict)
    served: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stage of a batch: receive, decide, journal, publish."""

    name: str
    began_ns: int
    ended_ns: int
    attributes: Attributes = field(default_factory=dict)


class Tracing:
    """Records spans, or (without a provider) does nothing. For any thread."""

    def __init__(self, provider: TracerProvider | None = None, sampling: Sampling | None = None) -> None:
        self._provider = provider
        self._sampling = sampling or Sampling()
        self._ratio = self._sampling.ratio if provider is not None else 0.0
        self._tracer: Any = None if provider is None else provider.get_tracer("homeostat")

    @property
    def enabled(self) -> bool:
        """Whether spans go anywhere."""
        return self._provider is not None

    @property
    def provider(self) -> TracerProvider | None:
        """Where spans of others may go; None for nowhere."""
        return self._provider

    def traceparent(self, event_id: str, incoming: str | None) -> str:
        """The context that goes out with the decision: that of its span where it is recorded, else the event's own."""
        context = traceparent_for(event_id, incoming, self._ratio)
        if incoming is None or self._provider is None or not self._records(context, incoming):
            return context
        return f"{context[:36]}{traceparent_for(event_id)[36:52]}-01"

    def recorded(self, event_ids: Sequence[str], incoming: Sequence[str | None]) -> list[int]:
        """The rows whose decisions or outcomes should be given to `decided` or `learned`."""
        if self._provider is None:
            return []
        rows = enumerate(zip(event_ids, incoming, strict=True))
        return [k for k, (name, came) in rows if self._records(traceparent_for(name, came, self._ratio), came)]

    def decided(self, decisions: Sequence[Traced], batch: Sequence[Stretch] = ()) -> None:
        """Spans of recorded decisions, and of the batch that they were in.

        batch : its stages, in order; none where one decision stands alone
        """
        if self._provider is None or not decisions:
            return
        made = [self._decision(traced) for traced in decisions]
        if batch:
            self._batch(batch, made)

    def learned(self, outcomes: Sequence[Traced]) -> None:
        """Spans of recorded outcomes, under their events' decisions."""
        if self._provider is None:
            return
        for traced in outcomes:
            own = _context(traceparent_for(traced.event_id, None, self._ratio))
            came = continued(traced.incoming)
            parent = own if came is None else _context(came)
            self._span("outcome", parent, traced, [] if came is None else [own])

    def close(self) -> None:
        """Send what has not been sent; waits a few seconds at the most."""
        if self._provider is not None:
            self._provider.force_flush(3000)
            self._provider.shutdown()

    def _records(self, context: str, incoming: str | None) -> bool:
        if incoming is None or continued(incoming) is None:
            return sampled(context)
        if self._sampling.parent_based:
            return sampled(context)
        return int(context[19:35], 16) < self._sampling.ratio * _BITS

    def _decision(self, traced: Traced) -> SpanContext:
        own = _context(traceparent_for(traced.event_id, None, 1.0))
        came = continued(traced.incoming)
        if came is None:
            return self._span("decision", None, traced, [], own)
        # The link leads to where an outcome goes that comes without a context.
        return self._span("decision", _context(came), traced, [own], own)

    def _span(
        self, name: str, parent: SpanContext | None, traced: Traced, links: Sequence[SpanContext],
        own: SpanContext | None = None,
    ) -> SpanContext:  # fmt: skip
        from opentelemetry.trace import SpanKind

        _ids.own = own
        try:
            span = self._tracer.start_span(
                name, context=_under(parent), kind=SpanKind.SERVER if traced.served else SpanKind.CONSUMER,
                start_time=traced.began_ns,
                attributes={"homeostat.event_id": traced.event_id, **_named(traced.attributes)}, links=_links(links),
            )  # fmt: skip
        finally:
            _ids.own = None
        span.end(traced.ended_ns)
        context: SpanContext = span.get_span_context()
        return context

    def _batch(self, stages: Sequence[Stretch], events: Sequence[SpanContext]) -> None:
        links = _links(events[:LINKS_MAX])
        whole = self._tracer.start_span("batch", context=_under(None), start_time=stages[0].began_ns, links=links)
        for stage in stages:
            span = self._tracer.start_span(
                stage.name, context=_under(whole.get_span_context()), start_time=stage.began_ns, links=links,
                attributes=_named(stage.attributes),
            )  # fmt: skip
            span.end(stage.ended_ns)
        whole.end(stages[-1].ended_ns)


class _Chosen(threading.local):
    """The ids that the span which this thread starts next is to have; random ones where there are none."""

    own: SpanContext | None = None


_ids = _Chosen()


def open_tracing(service: str = "homeostat", instance: str = "", environ: Mapping[str, str] | None = None) -> Tracing:
    """Tracing as the standard OTEL_* variables say: on where an OTLP endpoint is named, else off.

    service : OTEL_SERVICE_NAME wins over it
    instance : tells processes of one service apart
    Raises MissingExtra without the SDK, and Unavailable for a protocol other than http/protobuf.
    """
    chosen = os.environ if environ is None else environ
    off = chosen.get("OTEL_SDK_DISABLED", "").lower() == "true" or chosen.get("OTEL_TRACES_EXPORTER") == "none"
    if off or not any(chosen.get(name) for name in ENDPOINTS):
        return Tracing()
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if chosen.get(name, "http/protobuf") != "http/protobuf":
            raise Unavailable(f"{name} is {chosen[name]}; traces are sent by http/protobuf only (port 4318)")
    with needs("telemetry", "sending traces"):
        return Tracing(_provider(service, instance, chosen), Sampling.of(chosen))


def _provider(service: str, instance: str, environ: Mapping[str, str]) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    class Ids(RandomIdGenerator):
        def generate_span_id(self) -> int:
            return super().generate_span_id() if _ids.own is None else _ids.own.span_id

        def generate_trace_id(self) -> int:
            return super().generate_trace_id() if _ids.own is None else _ids.own.trace_id

    named: dict[str, str] = {"service.name": environ.get("OTEL_SERVICE_NAME") or service}
    if instance:
        named["service.instance.id"] = instance
    # The spans to record are chosen before a span is made, so the SDK samples nothing away.
    provider = TracerProvider(ALWAYS_ON, Resource.create(named), id_generator=Ids())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _context(traceparent: str) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(int(traceparent[3:35], 16), int(traceparent[36:52], 16), True, TraceFlags(1))


def _under(parent: SpanContext | None) -> Any:
    """A context with a parent; an empty one, whatever the thread is in, where there is none."""
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    return Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())


def _links(contexts: Sequence[SpanContext]) -> list[Link]:
    from opentelemetry.trace import Link

    return [Link(context) for context in contexts]


def _named(attributes: Attributes) -> dict[str, str | float | bool]:
    return {f"homeostat.{name}": value for name, value in attributes.items()}
