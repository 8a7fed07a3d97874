"""A version's effect on the traffic that was decided."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.worlds import events_file

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.cli import main
from homeostat.engine.assembly import prepare, shipped_bundle
from homeostat.jobs.preview import last_decisions, preview
from homeostat.jobs.replay import Request, replay_events
from homeostat.models.bundle import load_bundle, save_bundle
from homeostat.models.training_set import silent
from homeostat.records.changes import Change, ChangeKind

pytestmark = pytest.mark.long


def tried(app: str, folder: Path, bundle: Path | None, hours: float, *changes: Change) -> dict[str, Any]:
    """A version on the traffic of a folder."""
    with SqliteJournal(folder / "journal.db", readonly=True) as journal:
        return preview(app, journal, bundle, changes, hours, silent)


@pytest.fixture(scope="module")
def decided(tmp_path_factory) -> Path:
    """A folder of payments that the shipped bundle decided."""
    folder = tmp_path_factory.mktemp("decided")
    replay_events("payments", Request(events_file(), folder), silent)
    return folder


@pytest.fixture(scope="module")
def alarmed(tmp_path_factory) -> Path:
    """The shipped bundle with a fusion that sees a higher risk everywhere."""
    shipped = shipped_bundle(prepare("payments").app)
    assert shipped is not None
    bundle = load_bundle(shipped)
    fusion = bundle.parts["fusion"]
    higher = replace(fusion, settings={**fusion.settings, "base": float(fusion.settings["base"]) + 4.0})
    path = tmp_path_factory.mktemp("alarmed") / "bundle"
    save_bundle(replace(bundle, parts={**bundle.parts, "fusion": higher}), path)
    return path


def test_the_version_that_decided_would_decide_the_same(decided: Path) -> None:
    found = tried("payments", decided, None, 24 * 365)
    assert found["decisions"] > 1000 and found["differ"] == 0 and found["changes"] == []
    assert found["cost_before"] == found["cost_after"]


def test_a_version_that_sees_more_risk_differs_and_its_cost_is_shown(decided: Path, alarmed: Path) -> None:
    found = tried("payments", decided, alarmed, 24 * 365)
    assert found["differ"] == sum(change["count"] for change in found["changes"]) > 0
    assert found["known"] > 0 and found["cost_after"] != found["cost_before"]
    few = tried("payments", decided, alarmed, 6)
    assert 0 < few["decisions"] < found["decisions"] and few["until"] == found["until"]


def test_the_settings_in_force_count(decided: Path) -> None:
    wish = Change(ChangeKind.FALLBACK, "app", {"action": "challenge"}, "ann", "outage", number=1)
    found = tried("payments", decided, None, 24 * 365, wish)
    assert found["differ"] > 0.5 * found["decisions"] and found["changes"][0]["after"] == "challenge"


def test_the_command_shows_the_effect_and_changes_nothing(decided: Path, alarmed: Path, capsys) -> None:
    def models(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["models", *words, "--data", str(decided)])
        printed = capsys.readouterr()
        assert not ended.value.code, printed.err
        return printed.out

    models("import", str(alarmed))
    assert "would have been others" in models("promote", "1", "--preview")
    assert json.loads(models("promote", "1", "--preview", "--json"))["differ"] > 0
    assert json.loads(models("history", "--json"))["deployments"] == []


def test_traffic_of_another_app_is_refused_in_a_sentence(decided: Path) -> None:
    from homeostat.jobs.guard_trial import CanNotTry

    with pytest.raises(CanNotTry, match="have other features and actions than access"):
        tried("access", decided, None, 24)


def test_the_rows_of_the_last_hours_are_the_newest(decided: Path, monkeypatch) -> None:
    monkeypatch.setattr("homeostat.jobs.preview.ROWS_MAX", 100)
    with SqliteJournal(decided / "journal.db", readonly=True) as journal:
        kept, _ = last_decisions(journal, 24 * 365)
        every = np.concatenate(
            [entry.body.events.time_ns for entry in journal.read(0) if hasattr(entry.body, "ruling")]
        )
    assert sum(map(len, kept)) == 100
    assert np.concatenate([batch.events.time_ns for batch in kept]).tolist() == every[-100:].tolist()
