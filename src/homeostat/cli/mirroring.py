"""The work of `homeostat models mirror`."""

from __future__ import annotations

import signal
import sys
import threading
from dataclasses import asdict
from json import dumps

from homeostat.adapters.mlflow.mirror import Mirrored, MlflowMirror
from homeostat.cli.failures import CommandError
from homeostat.cli.version_stores import Stores
from homeostat.errors import Unavailable
from homeostat.models.deployments import roles


def mirror_once(stores: Stores, url: str, json: bool) -> None:
    """One pass. Raises Unavailable; CommandError where there is nothing to mirror."""
    if not stores.registry.versions(limit=1):
        raise CommandError("there are no versions yet: keep one by homeostat models import or train --register")
    _show(_pass(stores, url, {}), json)


def mirror_on(stores: Stores, url: str, every_s: float, json: bool) -> None:
    """Pass after pass until a signal. A server that is away is reported once, and made up for when it is back."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    waits, mirrors = "", dict[str, MlflowMirror]()
    while True:
        try:
            made = _pass(stores, url, mirrors)
            waits = ""
            if made.anything:
                _show(made, json)
        except Unavailable as error:
            if str(error) != waits:
                waits = str(error)
                print(f"homeostat: waits: {waits}", file=sys.stderr, flush=True)
        if stopping.wait(every_s):
            return


def _pass(stores: Stores, url: str, mirrors: dict[str, MlflowMirror]) -> Mirrored:
    versions = list(stores.registry.versions())[::-1]
    if not versions:
        return Mirrored(0, 0, ())
    app = versions[0].lineage.app
    if app not in mirrors:
        mirrors[app] = MlflowMirror(url, app)
    return mirrors[app].catch_up(versions, roles(stores.settings), stores.registry.fetch)


def _show(made: Mirrored, json: bool) -> None:
    if json:
        print(dumps(asdict(made)), flush=True)
        return
    moved = f"; moved {', '.join(made.aliases)}" if made.aliases else ""
    print(f"mirrored {made.versions} versions and {made.deleted} deletions{moved}", flush=True)
