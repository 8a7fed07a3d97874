"""`homeostat serve`."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Bundle
from homeostat.cli.progress import shown


def serve(
    app: str,
    /,
    *,
    bundle: Bundle = None,
    port: Annotated[int, Parameter(help="0 takes a free one.")] = 8080,
    host: str = "127.0.0.1",
    expose: Annotated[bool, Parameter(negative="", help="Let other machines in; there is no authentication.")] = False,
    data: Annotated[
        Path | None, Parameter(help="The folder of its journal and snapshot; a restart on it continues.")
    ] = None,
) -> None:
    """Decide over HTTP, until a signal says to stop: the first drains and saves, the second stops at once.

    Parameters
    ----------
    app
        A shipped app (payments, access) or an app file.
    host
        The address to listen at; beyond this machine only with --expose.
    """
    from homeostat.embedded.assembly import open_engine
    from homeostat.serve.server import bound, is_loopback, run, url_of

    if not is_loopback(host) and not expose:
        raise CommandError(f"{host} is reached from other machines, and there is no authentication: say --expose too")
    try:
        sock = bound(host, port)
    except (OSError, OverflowError) as error:
        raise CommandError(
            f"can't listen at {host} port {port}: {getattr(error, 'strerror', None) or error}; choose another --port "
            "(0 takes a free one), or end what listens there"
        ) from error
    with closing(sock):
        with shown("starting") as progress:
            engine = open_engine(app, bundle=bundle, data=data, on_error=_tell, recovering=progress)
        _announce(host, data)
        if not run(engine, sock, lambda: _say(f"{engine.app.app} decides at {url_of(sock)}")):
            raise CommandError("the server did not start; the lines above say why")
    _say("stopped" if data is None else f"saved to {data}, stopped")


def _announce(host: str, data: Path | None) -> None:
    from homeostat.serve.server import is_loopback

    if not is_loopback(host):
        _say("warning: whoever reaches this address can have events decided; there is no authentication")
    if data is None:
        _say("everything is in memory and gone when this stops; --data FOLDER keeps it")


def _tell(stage: str, error: Exception) -> None:
    _say(f"{stage} failed: {type(error).__name__}: {error}")


def _say(text: str) -> None:
    print(f"homeostat: {text}", file=sys.stderr, flush=True)
