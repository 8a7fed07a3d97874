"""Forks that stand for commands are like processes that were started."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from tests.support.warm import start

from homeostat.records.software import VERSION

pytestmark = pytest.mark.long


def ended(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and outputs."""
    process = start(arguments, **environment)
    with process.stdout as output:
        said = output.read()
    return process.wait(240), said


def test_a_fork_has_an_exit_code_outputs_an_environment_and_a_folder_of_its_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ended("--version") == (0, f"{VERSION}\n")
    assert ended("nosuch")[0] == 2
    assert ended("init", "app.yaml")[0] == 0 and (tmp_path / "app.yaml").is_file()
    code, said = ended("keys", "list", HOMEOSTAT_SERVERS__JOURNAL="postgresql://127.0.0.1:1/nothing")
    assert code == 1 and said.startswith("homeostat: ") and "PostgreSQL" in said


def test_a_fork_runs_until_it_is_killed(tmp_path: Path) -> None:
    process = start(["serve", "access", "--data", str(tmp_path / "data"), "--port", "0"])
    with process.stdout as output:
        assert any("decides at" in line for line in output)
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.0)
        process.kill()
        assert process.wait(240) == process.poll() == -signal.SIGKILL
    process.terminate()  # As of a process of subprocess, nothing happens.
