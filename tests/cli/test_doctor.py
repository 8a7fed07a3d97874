"""`homeostat doctor` about an app's servers."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from tests.samples.reading import unpacked

import homeostat
from homeostat.cli import main
from homeostat.config.load import load_app
from homeostat.config.starter import starter
from homeostat.engine.assembly import open_engine, prepare, shipped_bundle
from homeostat.engine.shared.health import newest_event
from homeostat.engine.shared.samples import sampled
from homeostat.models.bundle import load_bundle, save_bundle


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[dict[str, str]]]:
    """Exit code and diagnoses."""
    with pytest.raises(SystemExit) as stop:
        main(["doctor", *map(str, arguments), "--json"])
    sent = json.loads(capsys.readouterr().out)
    assert set(sent) == {"ok", "findings"} and all(
        set(f) == {"what", "health", "seen", "mend"} for f in sent["findings"]
    )
    assert sent["ok"] == (stop.value.code == 0)
    return int(stop.value.code or 0), sent["findings"]


def by_name(diagnoses: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    return {diagnosis["what"]: diagnosis for diagnosis in diagnoses}


def test_servers_of_a_config_file_are_looked_at(capsys, redis, tmp_path: Path) -> None:
    config = tmp_path / "servers.yaml"
    config.write_text(f"servers: {{features: '{redis.url}'}}")
    code, diagnoses = doctor(capsys, "--config", config)
    assert code == 0 and by_name(diagnoses)["redis clock"]["health"] == "ok"


def test_servers_of_an_app_file_are_looked_at_and_missing_ones_exit_with_1(capsys, tmp_path: Path) -> None:
    app = tmp_path / "app.yaml"
    app.write_text(starter() + "servers: {features: 'redis://:hunter2@127.0.0.1:9/0'}\n")
    code, diagnoses = doctor(capsys, app)
    found = by_name(diagnoses)
    assert code == 1 and found["app file"]["health"] == "ok"
    assert found["features"]["health"] == "broken" and found["features"]["mend"] and "hunter2" not in str(diagnoses)


def test_the_environment_names_servers_too(capsys, monkeypatch) -> None:
    monkeypatch.setenv("HOMEOSTAT_SERVERS__FEATURES", "redis://127.0.0.1:9/0")
    code, diagnoses = doctor(capsys)
    assert code == 1 and by_name(diagnoses)["features"]["health"] == "broken"


def test_a_world_that_can_not_be_read_is_a_finding(capsys, tmp_path: Path) -> None:
    config = tmp_path / "servers.yaml"
    config.write_text("servers: {features: 'http://127.0.0.1'}")
    code, diagnoses = doctor(capsys, "--config", config)
    assert code == 1 and "redis://" in by_name(diagnoses)["servers"]["seen"]
    config.write_text("worlds: {}")
    code, diagnoses = doctor(capsys, "--config", config)
    assert code == 0 and by_name(diagnoses)["servers"]["health"] == "warning"


def test_an_app_file_that_is_not_there_has_no_position_and_its_own_remedy(capsys, tmp_path: Path) -> None:
    code, diagnoses = doctor(capsys, tmp_path / "nosuch.yaml")
    found = by_name(diagnoses)["app file"]
    assert code == 1 and found["seen"] == f"{tmp_path / 'nosuch.yaml'}: no such file"
    assert "Check the name" in found["mend"] and "homeostat init" in found["mend"]


def test_a_data_folder_that_others_may_look_at_is_a_warning(capsys, tmp_path: Path) -> None:
    folder = unpacked("access", tmp_path)
    folder.chmod(0o755)
    found = by_name(doctor(capsys, "--data", folder)[1])
    assert found["privacy"]["health"] == "warning" and "chmod" in found["privacy"]["mend"]
    for path in (folder, *folder.iterdir()):
        path.chmod(path.stat().st_mode & 0o700)
    assert "privacy" not in by_name(doctor(capsys, "--data", folder)[1])


@pytest.mark.long
def test_what_a_start_would_take_over_and_make_again_is_said(capsys, tmp_path: Path) -> None:
    folder = unpacked("access", tmp_path)
    code, diagnoses = doctor(capsys, "access", "--data", folder)
    found = by_name(diagnoses)["recovery"]
    assert code == 0 and found["health"] == "warning"
    assert "kept no names" in found["seen"] and "are done again" in found["seen"]
    with open_engine("access", data=folder):
        pass
    assert "nothing is done again" in by_name(doctor(capsys, "access", "--data", folder)[1])["recovery"]["seen"]


def test_a_lost_journal_is_broken_and_the_finding_says_what_can_be_done(capsys, tmp_path: Path) -> None:
    folder = unpacked("access", tmp_path)
    (folder / "journal.db").unlink()
    code, diagnoses = doctor(capsys, "access", "--data", folder)
    found = by_name(diagnoses)["journal"]
    assert code == 1 and "is missing" in found["seen"] and "--history new" in found["seen"]


@pytest.mark.long
def test_a_journal_whose_newest_event_is_ahead_of_the_clock_is_a_finding(capsys, tmp_path: Path) -> None:
    app = tmp_path / "app.yaml"
    app.write_text(starter().replace("  late: decide", "  ahead_max: 1d\n  late: decide", 1))
    sent = {"entity_id": "a", "event_type": "login", "value": 1}
    with homeostat.load(app, data=tmp_path / "data") as engine:
        engine.decide({**sent, "event_id": "1", "timestamp": time.time()})
    code, diagnoses = doctor(capsys, "--data", tmp_path / "data")
    assert code == 0 and by_name(diagnoses)["newest event"]["health"] == "ok"
    with homeostat.load(app, data=tmp_path / "data") as engine:
        engine.decide({**sent, "event_id": "2", "timestamp": time.time() + 22 * 3600})
    code, diagnoses = doctor(capsys, app, "--data", tmp_path / "data")
    found = by_name(diagnoses)["newest event"]
    assert found["health"] == "warning"
    assert re.fullmatch(r"the newest event is 2[12] h( \d+ min)? ahead of the clock", found["seen"])


def test_messages_whose_newest_event_is_ahead_of_the_clock_say_by_how_much() -> None:
    prepared, now_ns = prepare("access"), 1_780_000_000 * 10**9
    sent = {"event_id": "1", "entity_id": "a", "event_type": "login"}
    messages = [json.dumps({**sent, "timestamp": 1_780_000_000 + ahead}).encode() for ahead in (0, 22 * 3600, 60)]
    why, ahead_ns = sampled(messages, prepared, False, now_ns)
    assert dict(why) == {"timestamp: too_early": 1} and ahead_ns == 22 * 3600 * 10**9
    assert sampled(messages[:1], prepared, False, now_ns)[1] == 0
    assert newest_event(ahead_ns, 10**9).seen == "the newest event is 22 h ahead of the clock"


@pytest.mark.long
def test_a_bundle_that_fits_and_was_not_named_is_a_warning_that_names_it(capsys, tmp_path: Path, monkeypatch) -> None:
    text = (files("homeostat.apps") / "payments" / "app.yaml").read_text("utf-8")
    (tmp_path / "own.yaml").write_text(text.replace("\napp: payments\n", "\napp: own\n"))
    monkeypatch.chdir(tmp_path)
    code, diagnoses = doctor(capsys, "own.yaml")
    found = by_name(diagnoses)["models"]
    assert code == 1 and found["health"] == "broken" and "--bundle B" in found["mend"]

    trained = shipped_bundle(load_app("payments"))
    assert trained is not None
    save_bundle(load_bundle(trained), tmp_path / "another")
    _, diagnoses = doctor(capsys, "own.yaml")
    assert by_name(diagnoses)["models"]["health"] == "broken"  # It fits, and was trained for another app.

    save_bundle(replace(load_bundle(trained), app="own"), tmp_path / "B")
    code, diagnoses = doctor(capsys, "own.yaml")
    found = by_name(diagnoses)["models"]
    assert code == 0 and found["health"] == "warning" and "homeostat doctor own.yaml --bundle B" in found["mend"]
    monkeypatch.chdir("/")
    _, diagnoses = doctor(capsys, tmp_path / "own.yaml")
    assert f"--bundle {tmp_path / 'B'}" in by_name(diagnoses)["models"]["mend"]
