"""`homeostat tune`: the JSON that it prints, the version that it registers, the options that it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.tuned import UNTIL, app_file, events_file

from homeostat.cli import main


def call(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> tuple[str, str]:
    """Output and errors of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert (ended.value.code or 0) == code, captured.err
    return captured.out, captured.err


@pytest.mark.long
def test_a_winner_is_registered_with_its_study_and_printed_as_agreed(capsys, tmp_path: Path) -> None:
    given = (
        "tune",
        app_file(tmp_path),
        events_file(tmp_path),
        "--until",
        UNTIL,
        "--out",
        tmp_path / "b",
        "--trials",
        4,
    )
    printed = json.loads(call(capsys, *given, "--register", "--data", tmp_path / "data", "--json")[0])
    assert (printed["trials"], printed["metric"], printed["number"]) == (4, "average_precision", 1)
    assert set(printed["best"]) >= {"value", "params"} and set(printed) >= {"version", "importances"}
    assert printed["importances"] == {} or sum(printed["importances"].values()) == pytest.approx(1.0)
    assert {path.name for path in (tmp_path / "b-study").iterdir()} >= {"study.db", *printed["files"]}
    shown = json.loads(call(capsys, "models", "show", "1", "--data", tmp_path / "data", "--json")[0])
    study = json.loads(json.dumps(shown))["lineage"]["metrics"]["study"]
    assert (study["name"], study["value"]) == (printed["study"], printed["best"]["value"])
    for_people, _ = call(capsys, *given)  # The study is over: only the winner is trained again.
    assert "4 trials of study" in for_people and printed["version"] in for_people


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--trials", "0"), "--trials is from 1"),
        (("--seconds", "-1"), "--seconds above 0"),
        (("--seconds", "nan"), "--seconds above 0"),
        (("--seed", "-1"), "--seed is a whole number"),
        (("--data", "d"), "add --register"),
        (("--from", "2024-01-01"), "nothing lies between"),
        (("--storage", "redis://h/0"), "not at redis://"),
        (("--storage", "/proc/none/study.db"), "studies can't be kept in"),
    ],
)
def test_options_that_mean_nothing_are_refused_in_a_sentence(capsys, tmp_path: Path, more, said: str) -> None:
    given = ("tune", app_file(tmp_path), events_file(tmp_path), "--until", UNTIL, "--out", tmp_path / "b")
    _, err = call(capsys, *given, *more, code=1)
    assert said in " ".join(err.split()) and "Traceback" not in err and not (tmp_path / "b").exists()


@pytest.mark.long
def test_a_storage_that_is_no_study_or_refuses_is_named_without_its_password(capsys, tmp_path: Path) -> None:
    (tmp_path / "s.db").write_text("no database at all, but long enough to have a head of its own" * 20)
    given = ("tune", app_file(tmp_path), events_file(tmp_path), "--until", UNTIL, "--out", tmp_path / "b")
    _, err = call(capsys, *given, "--storage", tmp_path / "s.db", code=1)
    assert "not a database" in err
    _, err = call(capsys, *given, "--storage", "postgresql://u:hunter2@127.0.0.1:1/d", code=1)
    assert "127.0.0.1:1/d" in " ".join(err.split()) and "hunter2" not in err


@pytest.mark.long
def test_a_tuning_runs_as_a_job_whose_result_is_what_the_command_prints(capsys, tmp_path: Path, monkeypatch) -> None:
    app_file(tmp_path), events_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = ("app.yaml", "events.jsonl", "--until", UNTIL, "--out", "b", "--trials", "3")
    call(capsys, "jobs", "submit", "tune", "--data", "data", "--", *words)
    call(capsys, "jobs", "run", "--once", "--data", "data")
    job = json.loads(call(capsys, "jobs", "show", "1", "--data", "data", "--json")[0])
    assert job["state"] == "succeeded", job["error"]
    assert (job["result"]["trials"], job["result"]["report"]) == (3, "b-study")
    assert "trial 0: average_precision" in call(capsys, "jobs", "logs", "1", "--data", "data")[0]
