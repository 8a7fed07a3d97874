"""A Redis server (or Valkey, where that is what there is)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from homeostat.checks.servers import machine
from homeostat.checks.servers.server import Recipe, Server

IMAGE = "redis:7"
PROGRAMS = ("redis-server", "valkey-server")
READY = "Ready to accept connections"


def redis_server(*, persistence: bool = False, options: Sequence[str] = ()) -> Server:
    """A Redis server that isn't running yet.

    persistence : append each write to a file, synced every second; without it a restart forgets everything
    options : further arguments, such as ("--maxmemory", "100mb")
    Raises CantBeHad.
    """
    saved = ("--appendonly", "yes", "--appendfsync", "everysec") if persistence else ("--appendonly", "no")
    return Server(recipe((*saved, *options)))


def recipe(options: Sequence[str], name: str = "redis", begin: Callable[[int], None] = lambda port: None) -> Recipe:
    """How a Redis server is run, from a program or a container."""
    program = _program()

    def command(folder: Path, port: int) -> list[str]:
        own = ["--port", str(port), "--bind", "127.0.0.1" if program else "0.0.0.0"]
        place = str(folder) if program else "/data"
        return [program or "redis-server", *own, "--dir", place, "--save", "", "--daemonize", "no", *options]

    if program is not None:
        what = f"{Path(program).name} {machine.version(program, '--version')} (installed)"
        return Recipe(name, what, READY, command, _url, begin=begin)
    if machine.docker():
        what = f"{IMAGE} (Docker)"
        return Recipe(
            name, what, READY, command, _url, begin=begin,
            image=lambda port: ["--publish", f"127.0.0.1:{port}:{port}", IMAGE],
        )  # fmt: skip
    raise machine.CantBeHad("no Redis: there is no redis-server or valkey-server, no way to install it, and no Docker")


def _program() -> str | None:
    for attempt in (False, True):
        if attempt and not machine.install("redis-server"):
            break
        found = next((path for name in PROGRAMS if (path := machine.find(name))), None)
        if found is not None:
            return found
    return None


def _url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"
