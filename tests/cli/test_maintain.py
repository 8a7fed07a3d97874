"""`homeostat maintain`: what it finds, and what it refuses."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.watched_app import app_file, decide

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.cli import main


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with an app's file, and a server's data folder in `data`."""
    folder = tmp_path_factory.mktemp("watched")
    decide(folder / "data", app_file(folder), range(24 * 12), 24 * 10)
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = 0
    try:
        main(["maintain", *map(str, words)])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.long
def test_a_record_is_watched_once_and_a_second_time_nothing_is_new(made: Path, capsys) -> None:
    words = (made / "watched.yaml", "--data", made / "data", "--once")
    code, out, _ = run(capsys, *words, "--json")
    found = json.loads(out)
    assert code == 0 and found["app"] == "watched" and found["open"] == 1 and found["signals"] > 0
    assert found["entries"] == 24 * 12 and found["ticks"] > 130 and found["series"] > 20
    again = json.loads(run(capsys, *words, "--json")[1])
    assert {**found, "entries": 0, "ticks": 0, "signals": 0, "incidents": 0} == again
    assert "0 signals and their news; 1 incidents are open" in run(capsys, *words)[1]


def test_while_another_process_acts_once_is_refused(made: Path, capsys) -> None:
    with closing(SqliteIncidents(made / "data", app="watched")) as store:
        assert store.take("another-9")
        code, _, err = run(capsys, made / "watched.yaml", "--data", made / "data", "--once")
        store.leave("another-9")
    assert code == 1 and "another-9 maintains watched: stop it" in err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--once",), "which journal? Give --data FOLDER"),
        (("--data", "nowhere", "--once"), "there is no folder nowhere"),
        (("--data", ".", "--config", "x.yaml", "--once"), "Give one of them"),
        (("--data", ".", "--once"), "there is no journal"),
        (("--data", ".", "--metrics-port", "0", "--metrics-host", "0.0.0.0"), "--plain-http"),
    ],
)
def test_a_wrong_call_is_said(made: Path, tmp_path: Path, capsys, monkeypatch, words, hint: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, made / "watched.yaml", *words)
    assert code == 1 and hint in err
