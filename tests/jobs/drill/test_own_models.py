"""Drills of an app whose models its owner trained."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.app import NotTrained
from homeostat.config.load import load_app
from homeostat.engine.assembly import champion_in, shipped_bundle
from homeostat.jobs.drill.deciding import DrillApp
from homeostat.jobs.drill.running import SeedTask, drill_of
from homeostat.models.bundle import load_bundle, save_bundle
from homeostat.models.deployments import promote
from homeostat.models.lineage import lineage_of


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The shipped app of payments under a name of its own, which ships no models."""
    text = (files("homeostat.apps") / "payments" / "app.yaml").read_text("utf-8")
    assert "\napp: payments\n" in text
    path = tmp_path / "own.yaml"
    path.write_text(text.replace("\napp: payments\n", "\napp: own\n"))
    return str(path)


def test_a_drill_decides_by_the_bundle_that_is_named(own: str) -> None:
    with pytest.raises(NotTrained, match="--bundle"):
        _ = DrillApp(own).first_brain
    trained = shipped_bundle(load_app("payments"))
    drill = drill_of(SeedTask(own, 1, (), bundle=str(trained)))
    assert drill.bundle is not None and drill.first_brain.version.endswith(f"+{drill.bundle.version}")


def test_the_champion_of_a_data_folder_is_found(own: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert champion_in(data, own) is None and not data.exists()
    data.mkdir()
    shipped = shipped_bundle(load_app("payments"))
    assert shipped is not None
    trained = tmp_path / "B"
    version = save_bundle(replace(load_bundle(shipped), app="own"), trained)
    with closing(SqliteRegistry(data)) as registry, closing(SqliteSettings(data)) as settings:
        kept = registry.put(trained, lineage_of(load_bundle(trained), "ann", "a test"))
        promote(settings, registry, kept.version, "ann", "a test")
    found = champion_in(data, own)
    assert found is not None and load_bundle(found).version == version
