"""The story of docs/models.md, run as it is written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "models.md").read_text("utf-8")


@pytest.mark.long
def test_the_story_of_versions_runs_as_it_is_written(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    command = f'homeostat() {{ "{sys.executable}" -c "from homeostat.cli import main; main()" "$@"; }}\n'
    environment = {**os.environ, "COLUMNS": "200", "USER": "ann"}

    def shell(script: str) -> str:
        shown_text = subprocess.run(
            ["bash", "-euc", command + script], cwd=tmp_path, capture_output=True, text=True, env=environment
        )
        assert shown_text.returncode == 0, shown_text.stderr
        return shown_text.stdout

    printed = [shell(block) for block in blocks]
    assert "trees" in printed[1] and "more trees" in printed[1]
    assert "no process runs" in printed[2] and "it blocks too much" in printed[2]
    versions = json.loads(shell("homeostat models list --data live --json"))["versions"]
    assert [(one["number"], one["roles"], one["deleted_at"] is None) for one in versions] == [
        (2, [], False), (1, ["champion"], True),
    ]  # fmt: skip
    at = json.loads(shell("homeostat models at 2099-01-01T10:00 --data live --json"))
    assert (at["number"], at["why"], at["to"]) == (1, "it blocks too much", None)
    second = json.loads(shell("homeostat models show 2 --data live --json"))["lineage"]
    assert second["reason"] == "more trees" and second["source"].startswith("sha256:") and second["parents"] == []
    assert second["trained_until"] == "2030-01-01T00:00:00Z" and second["fingerprint"] and second["metrics"]["rows"] > 0
    found = json.loads(shell("homeostat doctor login.yaml --data live --json"))["findings"]
    models = next(one for one in found if one["what"] == "models")
    assert models["health"] == "ok" and at["version"][:8] in models["seen"]  # The champion's, without --bundle.
