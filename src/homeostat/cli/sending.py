"""`homeostat simulate APP --to ADDRESS`: the options, the place that events are sent to, and the end by a signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from json import dumps
from typing import TYPE_CHECKING, Annotated
from urllib.parse import SplitResult, urlsplit

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.progress import shown

if TYPE_CHECKING:
    from homeostat.jobs.injecting.injecting import Injector, Target

_SCHEMES = ("http", "https", "kafka", "redis", "rediss", "redis-stream", "rediss-stream")
_STREAMS = {"redis": "redis-stream", "rediss": "rediss-stream"}


@Parameter(name="*")
@dataclass(frozen=True)
class Sending:
    """Where events are sent, and how."""

    to: Annotated[
        str | None,
        Parameter(help="Send events of now to http://HOST:PORT, kafka://HOST:PORT/TOPIC or redis://HOST:PORT/DB/KEY."),
    ] = None
    rate: Annotated[float | None, Parameter(help="Events a second, with --to.")] = None
    seconds: Annotated[float | None, Parameter(help="How long events are sent; until Ctrl-C when absent.")] = None
    header: Annotated[tuple[str, ...], Parameter(help="Of HTTP, such as 'Authorization: Bearer KEY'.")] = ()
    remote: Annotated[bool, Parameter(help="Allow a server on another machine.", negative="")] = False


def send(app: str, sending: Sending, seed: int, streams: int | None, as_json: bool) -> None:
    """Send events, and print what became of them. Raises CommandError."""
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.config.load import load_app
    from homeostat.jobs.injecting.events import events_of
    from homeostat.jobs.injecting.injecting import Injector

    if sending.rate is None or not 0 < sending.rate <= 1e6:
        raise CommandError("--rate is a number of events a second above 0, up to 1000000")
    if sending.seconds is not None and not 0 < sending.seconds <= 1e7:
        raise CommandError("--seconds is above 0, and 10000000 at most")
    if seed < 0 or (streams is not None and not 1 <= streams <= 1_000_000):
        raise CommandError("--seed is at least 0, --customers from 1 to 1000000")
    tree, target = load_app(app), _target(sending)
    with shown("simulating") as progress:
        events = events_of(tree, streams, seed)
        injector = Injector(tree, events, target, SystemClock(), sending.rate, sending.seconds)
        with _ended_by_signals(injector):
            found = injector.run(lambda share: progress(f"{injector.injected.sent:,} events sent", share))
    if as_json:
        print(dumps({"app": tree.app, "rate": sending.rate, **found.as_dict()}))
        return
    print(f"{found.sent:,} events in {found.seconds:.1f} s: {found.ok:,} taken, {sum(found.bad.values()):,} failed")
    for why, count in found.bad.most_common():
        print(f"{count:,} times: {why}")


@contextmanager
def _ended_by_signals(injector: Injector) -> Iterator[None]:
    """The first signal ends the sending: answers are waited for, and the report is printed. The second interrupts."""

    def stop(number: int, frame: object) -> None:
        if injector.stopping:
            raise KeyboardInterrupt
        injector.stop()

    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _target(sending: Sending) -> Target:
    """The place to send to. Raises CommandError; MissingExtra where its package is not installed."""
    to = sending.to or ""
    scheme = to.partition("://")[0]
    if scheme not in _SCHEMES:
        raise CommandError(f"--to {to}: an address begins with {', '.join(f'{one}://' for one in _SCHEMES)}")
    if scheme in ("http", "https"):
        return _poster(to, sending)
    return _stream(scheme, to, sending)


def _poster(to: str, sending: Sending) -> Target:
    from homeostat.adapters.http.posting import EventPoster

    try:
        address = urlsplit(to)
        port_is_right = address.port is None or address.port > 0
    except ValueError as error:
        raise CommandError(f"--to {to}: this is no address ({error})") from error
    if not address.hostname or not port_is_right:
        raise CommandError(f"--to {to}: this is no address of a server: give one such as http://127.0.0.1:8080")
    _refuse_others(address.hostname, sending.remote)
    _refuse_password(address)
    return EventPoster(address, [_header(one) for one in sending.header])


def _stream(scheme: str, to: str, sending: Sending) -> Target:
    from homeostat.adapters.opening import sender_opener
    from homeostat.adapters.process.environment import servers_of
    from homeostat.adapters.streams.addresses import read_address
    from homeostat.adapters.streams.posting import StreamPoster

    if sending.header:
        raise CommandError("--header goes with http:// and https://")
    named = _STREAMS.get(scheme, scheme) + to[len(scheme) :]
    try:
        address = read_address("to", named)
    except ValueError as error:
        raise CommandError(f"--to {scheme}://: {str(error).removeprefix('servers.to: ')}") from error
    for host, _ in address.servers:
        _refuse_others(host, sending.remote)
    return StreamPoster(sender_opener(named)(address, servers_of(None).kafka, "homeostat-simulate"))


def _refuse_others(host: str, remote: bool) -> None:
    from homeostat.config.loopback import is_loopback

    if not remote and not is_loopback(host):
        raise CommandError(f"{host} is another machine: add --remote if its owner agrees to the load")


def _refuse_password(address: SplitResult) -> None:
    if address.username is not None or address.password is not None:
        raise CommandError("the address holds a password: give a key as --header 'Authorization: Bearer KEY'")


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable() or not text.isascii():
        raise CommandError("--header: write a name, a colon and a value, such as 'X-Api-Key: KEY'")
    return name.strip(), value.strip()
