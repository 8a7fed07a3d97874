"""Schemathesis against a server: it reads the OpenAPI document, sends what it allows and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# No schema says which changes fit the app, or who was first.
ANY_DATA = ("--exclude-checks", "positive_data_acceptance,negative_data_rejection")
# Random data each time; the border values of each parameter, thousands of requests, once a week.
PHASES = pytest.mark.parametrize("phase", ["fuzzing", pytest.param("coverage", marks=pytest.mark.weekly)])
PATIENCE_S = 120  # A machine that has other work may take long for one answer; schemathesis alone would wait for 10 s.


def fuzz(url: str, folder: Path, *arguments: str) -> None:
    """Fail with what schemathesis says if it finds a fault; it writes its own files into `folder`."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"]
    command += ["--request-timeout", str(PATIENCE_S), *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20 * 60, check=False)
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr[-2000:]
