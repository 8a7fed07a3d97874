"""`/api/v1/write` and `/v1/metrics`: Prometheus remote write, and metrics in OTLP over HTTP."""

from __future__ import annotations

from homeostat.adapters.otlp import metrics as otlp
from homeostat.adapters.prometheus import remote_write
from homeostat.serve.replies import JSON, Receive, Send, nothing, refuse, reply
from homeostat.serve.requests import Scope, body_of, content
from homeostat.serve.routes.measured import body_in, broken, measuring_of, parsed, taken
from homeostat.serve.routes.resources import Refused, header_of
from homeostat.serve.routes.route import Service

REMOTE_WRITE, OTLP = "/api/v1/write", "/v1/metrics"
_PROTOBUF = b"application/x-protobuf"


async def remote(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Take a remote write message in: 204, or 400 where some of its series can't be used. The others are kept."""
    try:
        measuring_of(service)
        kind, coding = header_of(scope, b"content-type") or "", header_of(scope, b"content-encoding") or ""
        why = remote_write.unsupported(kind, coding)
        if why is not None:
            raise Refused(415, "Not remote write", why, "Send a WriteRequest of remote write 1.0 as snappy.")
        body = await body_of(receive)
        try:
            found = await parsed(body, remote_write.points_of)
        except remote_write.NotRemoteWrite as error:
            raise await broken(service, body, str(error)) from error
        bad = await taken(service, found)
        if bad:
            detail = f"{len(bad)} series can't be used; the first: {bad[0].why}"
            raise Refused(400, "Partial write", detail, "The others were taken. The dead letters have the rest.")
    except Refused as error:
        await refuse(send, *error.reply)
        return
    await nothing(send)


async def export(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Take an export request in: 200, with the number of data points that can't be used. The others are kept."""
    kind, _ = content(scope)
    as_json = kind != _PROTOBUF
    mime = JSON if as_json else _PROTOBUF
    try:
        measuring_of(service)
        if kind not in (_PROTOBUF, JSON):
            detail, fix = (
                "the content type is neither protobuf nor JSON",
                f"Send {_PROTOBUF.decode()} or {JSON.decode()}.",
            )
            raise Refused(415, "Not OTLP", detail, fix)
        body = await body_in(service, scope, receive)
        try:
            found = await parsed(body, lambda whole: otlp.points_of(whole, is_json=as_json))
        except otlp.NotMetrics as error:
            raise await broken(service, body, str(error)) from error
    except Refused as error:
        status, _, detail, fix, more = error.reply
        await reply(send, status, otlp.refusal_of(f"{detail}. {fix}", is_json=as_json), mime, more)
        return
    bad = await taken(service, found)
    await reply(send, 200, otlp.answer_of(bad, is_json=as_json), mime)
