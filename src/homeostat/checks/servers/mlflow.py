"""An MLflow tracking server, in an environment of its own: it takes 590 MB, and pins packages back."""

from __future__ import annotations

import sys
from pathlib import Path

from homeostat.checks.servers import machine
from homeostat.checks.servers.server import Recipe, Server

VERSION = "3.17.2"
READY = "Application startup complete"
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def mlflow_server() -> Server:
    """A server that isn't running yet; what it holds outlives a restart. Raises CantBeHad."""
    program = machine.environment(f"mlflow-{VERSION}", f"mlflow=={VERSION}", "mlflow")
    if program is None:
        raise machine.CantBeHad("no MLflow: it can't be installed into an environment of its own")

    def command(folder: Path, port: int) -> list[str]:
        kept = ["--backend-store-uri", "sqlite:///kept.db", "--artifacts-destination", "./files"]
        return [program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *kept]

    # Its workers find Python by PATH.
    path = f"{Path(program).parent}:{Path(sys.executable).parent}:/usr/bin:/bin"
    what = f"MLflow {VERSION} (an environment of its own)"
    return Server(Recipe("mlflow", what, READY, command, _url, environment={**_QUIET, "PATH": path, "PYTHONPATH": ""}))


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"
