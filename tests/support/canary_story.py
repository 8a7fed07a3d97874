"""The story of docs/canary.md, run as it is written, and what an MLflow server shows at its end."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "canary.md").read_text("utf-8")
MLFLOW = "http://127.0.0.1:5000"  # As the page says.


def told(folder: Path, mlflow: str, python: str = sys.executable) -> list[str]:
    """The output of each block of the page, run in a folder.

    mlflow : the address of a server, in place of the page's
    python : an interpreter that has homeostat with what it trains with
    """
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert sum(MLFLOW in block for block in blocks) == 1
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    program = folder / "bin" / "homeostat"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{python}" -c "from homeostat.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    script = "trap 'kill %1 2>/dev/null || true' EXIT\n" + "echo ---\n".join(blocks).replace("8123", port)
    environment = {**os.environ, "COLUMNS": "1000", "USER": "ann", "PATH": f"{program.parent}:{os.environ['PATH']}"}
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        done = subprocess.run(
            ["bash", "-eumc", script.replace(MLFLOW, mlflow)], cwd=folder, stdout=out, stderr=err,
            stdin=subprocess.DEVNULL, env=environment, timeout=240,
        )  # fmt: skip
    assert done.returncode == 0, (folder / "err").read_text()[-2000:]
    return (folder / "out").read_text().split("---\n")


def check_mirror(folder: Path, mlflow: str) -> None:
    """Check that the server shows what the folder of the story holds: versions, lineage, figures, files and roles."""
    from mlflow import MlflowClient

    from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
    from homeostat.adapters.disk.sqlite.settings import SqliteSettings
    from homeostat.models.deployments import roles

    client, registry = MlflowClient(mlflow, mlflow), SqliteRegistry(folder / "live")
    settings = SqliteSettings(folder / "live")
    ours, there = list(registry.versions()), client.search_model_versions("name = 'pay'")
    assert {one.tags["homeostat.number"]: one.tags["homeostat.version"] for one in there} == {
        str(one.number): one.version for one in ours
    }
    assert {one.lineage.reason: one.version for one in ours} == {
        one.description: one.tags["homeostat.version"] for one in there
    } and len(ours) == 3
    numbers = {one.tags["homeostat.version"]: str(one.version) for one in there}
    holders = {role: numbers[version] for version, has in roles(settings).items() for role in has}
    assert client.get_registered_model("pay").aliases == holders
    assert holders == {role: numbers[registry.get(n).version] for role, n in (("champion", "1"), ("challenger", "2"))}
    for one in ours:
        (mirrored,) = (it for it in there if it.tags["homeostat.version"] == one.version)
        run = client.get_run(mirrored.run_id)
        assert run.info.status == "FINISHED" and run.data.params["source"] == one.lineage.source
        assert run.data.metrics["rows"] == one.lineage.metrics["rows"]
        files = registry.fetch(one.version)
        shown = {
            it.path.removeprefix("bundle/"): it.file_size for it in client.list_artifacts(run.info.run_id, "bundle")
        }
        assert shown == {it.name: it.stat().st_size for it in files.iterdir()}
    registry.close()
    settings.close()
