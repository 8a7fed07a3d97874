"""A PostgreSQL server with an empty database named homeostat."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from homeostat.checks.servers import machine
from homeostat.checks.servers.server import Recipe, Server, StartFailed

DATABASE = "homeostat"
IMAGE = "postgres:17"
PLACES = "/usr/lib/postgresql/*/bin"
READY = "database system is ready to accept connections"
_SETTINGS = {"shared_buffers": "32MB", "max_connections": "60", "listen_addresses": "127.0.0.1"}


def postgres_server() -> Server:
    """A PostgreSQL server that isn't running yet, durable as usual, trusting every client on loopback.

    Raises CantBeHad.
    """
    program = machine.find("postgres", PLACES)
    if program is None and machine.install("postgresql"):
        program = machine.find("postgres", PLACES)
    if program is not None:
        return Server(_installed(program))
    if machine.docker():
        return Server(_container())
    raise machine.CantBeHad("no PostgreSQL: there is no postgres program, no way to install it, and no Docker")


def _installed(program: str) -> Recipe:
    user = runs_as()

    def prepare(folder: Path, port: int) -> None:
        initdb = shutil.which("initdb", path=str(Path(program).parent)) or "initdb"
        data = str(folder / "data")
        _as(user, [initdb, "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C"], "")
        _as(user, [program, "--single", "-D", data, "postgres"], f"CREATE DATABASE {DATABASE}\n")

    def command(folder: Path, port: int) -> list[str]:
        settings = {**_SETTINGS, "unix_socket_directories": str(folder), "port": str(port)}
        own = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [program, "-D", str(folder / "data"), *own]

    what = f"PostgreSQL {machine.version(program, '--version')} (installed)"
    return Recipe("postgres", what, READY, command, _url, prepare, user=user, stop=signal.SIGINT)


def _container() -> Recipe:
    def image(port: int) -> list[str]:
        environment = {"POSTGRES_HOST_AUTH_METHOD": "trust", "POSTGRES_DB": DATABASE, "PGDATA": "/data/pg"}
        own = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        return ["--publish", f"127.0.0.1:{port}:5432", *own, IMAGE]

    # The image runs a server that listens on no network to create the database, and only then the one that is wanted.
    ready = 'listening on IPv4 address "0.0.0.0", port 5432'
    return Recipe(
        "postgres", f"{IMAGE} (Docker)", ready, lambda folder, port: [], _url, stop=signal.SIGINT, image=image
    )


def _as(user: str | None, command: list[str], given: str) -> None:
    done = subprocess.run(
        command, input=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", user=user,
        extra_groups=None if user is None else [], check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise StartFailed(f"{command[0]} failed:\n{done.stdout}")


def runs_as() -> str | None:
    """Whom it runs as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise machine.CantBeHad("no PostgreSQL: it doesn't run as root, and there is no user named postgres or nobody")


def _url(port: int) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/{DATABASE}"
