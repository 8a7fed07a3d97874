"""The mirror against a real MLflow server, in an environment of its own.

STORY_PYTHON names a Python whose homeostat can train, for the story of a version. `make test-peers` does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.support.canary_story import check_mirror, told
from tests.support.mlflow_exchange import Steps, story

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.mlflow.mirror import Mirrored, MlflowMirror
from homeostat.checks.registry import APP, bundle_in
from homeostat.checks.servers import mlflow_server
from homeostat.errors import Unavailable
from homeostat.ports.registry import Lineage

pytestmark = [pytest.mark.peers, pytest.mark.long, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def server():
    """One for all tests here: it takes half a minute to start."""
    with mlflow_server() as server:
        yield server


def test_a_real_server_shows_the_same_versions_figures_files_and_roles(server, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    story(server.url, tmp_path)
    client, registry = MlflowClient(server.url, server.url), SqliteRegistry(tmp_path / "data")
    there = {one.tags["homeostat.version"]: one for one in client.search_model_versions(f"name = '{APP}'")}
    assert {one.version for one in registry.versions()} == set(there)
    assert client.get_registered_model(APP).aliases == {"champion": there[registry.get("1").version].version}
    for one in registry.versions():
        run = client.get_run(there[one.version].run_id)
        assert run.info.status == "FINISHED" and run.data.params["source"] == "sha256:00"
        assert run.data.metrics["fused.roc_auc"] == 0.9 and run.data.metrics["rows"] == 100 * one.number
        assert ("homeostat.deleted" in there[one.version].tags) == (one.deleted_ns is not None)
        copy = Path(client.download_artifacts(run.info.run_id, "bundle", str(tmp_path)))
        bundle = tmp_path / f"bundle-{APP}-{one.number}"
        assert {it.name: it.read_bytes() for it in copy.iterdir()} == {
            it.name: it.read_bytes() for it in bundle.iterdir()
        }
        for file in copy.iterdir():
            file.unlink()


def test_a_real_server_shows_what_the_story_of_a_canary_ends_with(server, tmp_path: Path) -> None:
    told(tmp_path, server.url, os.environ.get("STORY_PYTHON") or sys.executable)
    check_mirror(tmp_path, server.url)


def test_a_server_that_was_away_is_caught_up_with_and_nothing_is_there_twice(server, tmp_path: Path) -> None:
    app, registry = "away", SqliteRegistry(tmp_path / "data", clock=Steps())
    mirror = MlflowMirror(server.url, app)
    for number in (1, 2):
        registry.put(bundle_in(tmp_path, number, app), Lineage(app))
    versions = list(registry.versions())[::-1]

    def broken(version: str) -> Path:
        if version == versions[1].version:
            server.kill()
        return registry.fetch(version)

    with pytest.raises(Unavailable):
        mirror.catch_up(versions, {}, broken)
    server.start()
    roles = {versions[1].version: ["champion"]}
    assert mirror.catch_up(versions, roles, registry.fetch) == Mirrored(1, 0, ("champion",))
    assert mirror.catch_up(versions, roles, registry.fetch) == Mirrored(0, 0, ())
    client = mirror._client
    assert len(client.search_model_versions(f"name = '{app}'")) == 2
    assert len(client.search_runs([client.get_experiment_by_name(app).experiment_id])) == 2
