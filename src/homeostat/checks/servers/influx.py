"""An InfluxDB 1.x server."""

from __future__ import annotations

from pathlib import Path

from homeostat.checks.servers import machine
from homeostat.checks.servers.server import Recipe, Server

IMAGE = "influxdb:1.8"
READY = "Listening on HTTP"
_CONFIG = """reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
[monitor]
  store-enabled = false
"""


def influx_server() -> Server:
    """A server that isn't running yet, without users; its URL names the server, without a database.

    A killed server has all that it answered to at its next start. Raises CantBeHad.
    """
    program = machine.find("influxd")
    if program is None and machine.install("influxdb"):
        program = machine.find("influxd")
    if program is not None:
        what = f"InfluxDB {machine.version(program, 'version')} (installed)"
        return Server(Recipe("influxdb", what, READY, lambda folder, _: _command(program, folder), _url, _prepare))
    if machine.docker():
        recipe = Recipe(
            "influxdb", f"{IMAGE} (Docker)", READY, lambda folder, port: [], _url,
            image=lambda port: [
                "--publish", f"127.0.0.1:{port}:8086", "--env", "INFLUXDB_DATA_DIR=/data/data",
                "--env", "INFLUXDB_DATA_WAL_DIR=/data/wal", "--env", "INFLUXDB_META_DIR=/data/meta", IMAGE,
            ],
        )  # fmt: skip
        return Server(recipe)
    raise machine.CantBeHad("no InfluxDB: there is no influxd, no way to install it, and no Docker")


def _prepare(folder: Path, port: int) -> None:
    (folder / "influxdb.conf").write_text(_CONFIG.format(folder=folder, port=port), "utf-8")


def _command(program: str, folder: Path) -> list[str]:
    return [program, "-config", str(folder / "influxdb.conf")]


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
