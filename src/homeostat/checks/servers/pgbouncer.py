"""PgBouncer in transaction mode before a PostgreSQL server: each transaction gets whichever connection is free."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from homeostat.checks.servers import machine
from homeostat.checks.servers.postgres import runs_as
from homeostat.checks.servers.server import Recipe, Server

_PLACES = "/usr/sbin"
_READY = "process up"
_CONNECTIONS = 3  # To the server, fewer than clients have, so that they share them.


def pgbouncer(before: str) -> Server:
    """A pooler that isn't running yet, before the server at an address. Raises CantBeHad."""
    program = machine.find("pgbouncer", _PLACES)
    if program is None and machine.install("pgbouncer"):
        program = machine.find("pgbouncer", _PLACES)
    if program is None:
        raise machine.CantBeHad("no PgBouncer: there is no pgbouncer program, and no way to install it")
    parts, chosen = urlsplit(before), program
    owner = runs_as()

    def prepare(folder: Path, port: int) -> None:
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={parts.hostname} port={parts.port} user={parts.username}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {_CONNECTIONS}\nserver_round_robin = 1\n"
        )

    what = f"PgBouncer {machine.version(chosen, '--version')}, transaction mode"
    return Server(Recipe(
        "pgbouncer", what, _READY, lambda folder, port: [chosen, str(folder / "pgbouncer.ini")],
        lambda port: f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}", prepare, user=owner,
    ))  # fmt: skip
