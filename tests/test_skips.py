"""A run of the tests ends with those that it skipped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

ROOT = Path(__file__).parents[1]
SUITE = """
import pytest


@pytest.mark.parametrize("k", [1, 2])
def test_of_a_server(k):
    pytest.skip("there is no server")


@pytest.mark.skipif(True, reason="there is no data")
def test_of_data():
    raise AssertionError


def test_of_nothing():
    pass
"""


def summary(tmp_path: Path, suite: str, *options: str) -> list[str]:
    """The lines at the end of a run, from the count of skips on."""
    (tmp_path / "conftest.py").write_text(
        "from tests.support.skips import skips\n\n\ndef pytest_terminal_summary(terminalreporter):\n"
        "    for line in skips(terminalreporter.stats.get('skipped', [])):\n        terminalreporter.write_line(line)\n"
    )
    (tmp_path / "test_some.py").write_text(suite)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "."]
    ran = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}, capture_output=True,
        text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    lines = ran.stdout.splitlines()
    first = next((k for k, line in enumerate(lines) if line.startswith("skipped:")), len(lines))
    return [line for line in lines[first:] if line.startswith(("skipped", " "))]


def test_skipped_tests_are_counted_and_named_by_reason(tmp_path: Path) -> None:
    assert summary(tmp_path, SUITE) == [
        "skipped: 3",
        "  2: there is no server",
        "     test_some.py::test_of_a_server (2 times)",
        "  1: there is no data",
        "     test_some.py::test_of_data",
    ]


def test_a_run_in_several_processes_names_them_too(tmp_path: Path) -> None:
    assert summary(tmp_path, SUITE, "-n", "1")[:2] == ["skipped: 3", "  2: there is no server"]


def test_a_run_that_skips_nothing_says_nothing(tmp_path: Path) -> None:
    assert summary(tmp_path, "def test_of_nothing():\n    pass\n") == []


def test_tests_against_peers_and_those_of_each_week_are_skipped_by_name() -> None:
    weekly = "tests/apps/test_payments_bundle.py"
    only = ["-k", "statsmodels or making_the_fusion"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/peers", weekly, *only]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "needs the environment of `make test-peers`" in ran.stdout
    assert "tests/peers/test_statsmodels.py::test_a_logistic_fit_is_theirs (2 times)" in ran.stdout
    assert "1: takes tens of seconds, and runs each week: `make test-weekly`" in ran.stdout
    assert f"{weekly}::test_making_the_fusion_again_gives_one_that_ranks_alike_and_as_well" in ran.stdout
