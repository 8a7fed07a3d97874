"""A failed test of `make test` is run again, alone: an unsteady one is named, a broken one stays a failure."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import again

ROOT = Path(__file__).parents[1]
SUITE = """
from pathlib import Path

import pytest


@pytest.mark.parametrize("name", ["a b", "x/y::z[1]", "é"])
def test_beside_others(name):
    seen = Path(f"seen-{len(name)}-{ord(name[-1])}")
    if not seen.exists():
        seen.touch()
        raise AssertionError


def test_sound():
    with Path("runs").open("a") as runs:
        runs.write("1")


def test_broken():
    assert not Path("broken").exists()
"""


def recipe() -> str:
    """The last command of `make test`, as a shell runs it."""
    lines = (ROOT / "Makefile").read_text().partition("\ntest:")[2].partition("\n\n")[0].replace("\\\n", "")
    return lines.splitlines()[-1].strip().replace("$(BIN)/python", shlex.quote(sys.executable)).replace("$$", "$")


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command beside a small suite, with the project's own settings, in a folder with the cache of an older run."""
    (folder / "test_some.py").write_text(SUITE)
    settings = (ROOT / "pyproject.toml").read_text().partition("[tool.pytest.ini_options]")[2].partition("\n[")[0]
    (folder / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]" + settings.replace('["tests", "src"]', '["test_some.py"]')
    )
    stale = folder / again.LASTFAILED
    stale.parent.mkdir(parents=True)
    stale.write_text(json.dumps({"test_some.py::test_sound": True, "test_some.py::test_broken": True}))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    return subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.long
def test_an_unsteady_test_is_named_and_does_not_fail_the_run(tmp_path: Path) -> None:
    ran = run(recipe(), tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    table = ran.stdout.partition("the failed tests, run again:\n")[2].splitlines()
    assert [line.split("  ")[1] for line in table] == ["unsteady: failed beside others, passed alone"] * 3
    assert "test_beside_others[x/y::z[1]]" in ran.stdout.partition("the failed tests, run again:\n")[2]
    assert (tmp_path / "runs").read_text() == "1"  # The older run's cache named it, but only failed tests run twice.


@pytest.mark.long
def test_a_broken_test_fails_again(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    ran = run(f"{shlex.quote(sys.executable)} -m tests.support.again 1", tmp_path)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    table = ran.stdout.partition("the failed tests, run again:\n")[2].splitlines()
    assert table == [
        "  failed again, alone  test_some.py::test_broken",
        "  unsteady: failed beside others, passed alone  test_some.py::test_sound",
    ]


def lastfailed(monkeypatch: pytest.MonkeyPatch, folder: Path, *tests: str) -> None:
    path = folder / "lastfailed"
    path.write_text(json.dumps(dict.fromkeys(tests, True)))
    monkeypatch.setattr(again, "LASTFAILED", path)


@pytest.mark.parametrize(
    ("status", "failed"),
    [
        (1, [f"test_a.py::test_{k}" for k in range(6)]),
        (1, []),
        (1, ["test_a.py::test_1", "test_could_not_be_imported.py"]),
        *((status, ["test_a.py::test_1"]) for status in (2, 3, 4, 5, 130)),
    ],
)
def test_all_other_failures_stay_at_once(monkeypatch, tmp_path, status, failed) -> None:
    monkeypatch.setattr(pytest, "main", lambda *_, **__: pytest.fail("there was a second run"))
    lastfailed(monkeypatch, tmp_path, *failed)
    assert again.main(status) == status


def test_a_run_that_left_no_cache_fails_as_it_did(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(again, "LASTFAILED", tmp_path / "none")
    assert again.main(1) == 1


def test_a_test_that_the_second_run_skips_has_not_passed(monkeypatch, tmp_path, capsys) -> None:
    lastfailed(monkeypatch, tmp_path, "test_a.py::test_1")
    monkeypatch.setattr(pytest, "main", lambda *_, **__: 0)
    assert again.main(1) == 1
    assert "failed, and did not run alone  test_a.py::test_1" in capsys.readouterr().out
