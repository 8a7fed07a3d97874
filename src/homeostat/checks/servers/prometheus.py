"""Prometheus and its Alertmanager."""

from __future__ import annotations

from pathlib import Path

from homeostat.checks.servers import machine
from homeostat.checks.servers.server import Recipe, Server

READY, ALERTS_READY = "Server is ready to receive web requests", "Listening on"
_CONFIG = "global: {scrape_interval: 1s}\n"
_ROUTES = "route: {receiver: nobody, group_wait: 1s}\nreceivers: [{name: nobody}]\n"


def prometheus_server(config: str = _CONFIG) -> Server:
    """A server that isn't running yet; it takes remote writes, and scrapes nothing unless `config` says so.

    config : the text of its prometheus.yml, where "{port}" is its own port
    Raises CantBeHad.
    """
    program = _program("Prometheus", "prometheus", "prometheus")

    def command(folder: Path, port: int) -> list[str]:
        return [
            program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
            "--web.enable-remote-write-receiver", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip

    what = f"Prometheus {machine.version(program, '--version')} (installed)"
    return Server(Recipe(
        "prometheus", what, READY, command, _url,
        lambda folder, port: _write(folder / "prometheus.yml", config.replace("{port}", str(port))),
    ))  # fmt: skip


def alertmanager_server() -> Server:
    """An Alertmanager that isn't running yet, alone, which notifies nobody. Raises CantBeHad."""
    program = _program("Alertmanager", "prometheus-alertmanager", "prometheus-alertmanager", "alertmanager")

    def command(folder: Path, port: int) -> list[str]:
        return [
            program, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        ]  # fmt: skip

    what = f"Alertmanager {machine.version(program, '--version')} (installed)"
    return Server(Recipe(
        "alertmanager", what, ALERTS_READY, command, _url,
        lambda folder, port: _write(folder / "alertmanager.yml", _ROUTES),
    ))  # fmt: skip


def _program(name: str, package: str, *programs: str) -> str:
    """The path of the first of some programs that there is. Raises CantBeHad."""
    for attempt in (False, True):
        if attempt and not machine.install(package):
            break
        if found := next((path for one in programs if (path := machine.find(one))), None):
            return found
    raise machine.CantBeHad(f"no {name}: there is no {programs[-1]}, and no way to install it")


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
