"""An object store that speaks S3's protocol over HTTP: moto's server, in an environment of its own.

Its client library pins packages back that others need newer, so it is never installed beside them. Its objects are in
its memory: a restart forgets everything.
"""

from __future__ import annotations

import urllib.request

from homeostat.checks.servers import machine
from homeostat.checks.servers.server import Recipe, Server

VERSION = "5.2.5"
IMAGE = f"motoserver/moto:{VERSION}"
BUCKET = "homeostat"
READY = "Running on"


def s3_server() -> Server:
    """A server that isn't running yet, with a bucket named homeostat. Its URL is a folder there, with a key.

    Raises CantBeHad.
    """
    program = machine.environment(f"moto-{VERSION}", f"moto[s3,server]=={VERSION}", "moto_server")
    if program is not None:
        what = f"moto {VERSION} (an environment of its own)"
        return Server(Recipe("s3", what, READY, lambda folder, port: [program, *_options(port)], _url, begin=_begin))
    if machine.docker():
        recipe = Recipe(
            "s3", f"{IMAGE} (Docker)", READY, lambda folder, port: [], _url, begin=_begin,
            image=lambda port: ["--publish", f"127.0.0.1:{port}:5000", IMAGE],
        )  # fmt: skip
        return Server(recipe)
    raise machine.CantBeHad("no S3: moto can't be installed into an environment of its own, and there is no Docker")


def _options(port: int) -> list[str]:
    return ["-H", "127.0.0.1", "-p", str(port)]


def _url(port: int) -> str:
    return f"s3://key:secret@{BUCKET}/models?region=us-east-1&scheme=http&endpoint_override=127.0.0.1%3A{port}"


def _begin(port: int) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
    with urllib.request.urlopen(request, timeout=30):
        pass
