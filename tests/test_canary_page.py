"""The story of docs/canary.md, run as it is written."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "canary.md").read_text("utf-8")


@pytest.mark.long
def test_the_story_of_a_canary_runs_as_it_is_written(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    program = tmp_path / "bin" / "homeostat"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from homeostat.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    script = "trap 'kill %1 2>/dev/null || true' EXIT\n" + "echo ---\n".join(blocks).replace("8123", port)
    environment = {**os.environ, "COLUMNS": "1000", "USER": "ann", "PATH": f"{program.parent}:{os.environ['PATH']}"}
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        done = subprocess.run(
            ["bash", "-eumc", script], cwd=tmp_path, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environment,
            timeout=120,
        )  # fmt: skip
    assert done.returncode == 0, (tmp_path / "err").read_text()[-2000:]
    _, _, _, second, third, end = (tmp_path / "out").read_text().split("---\n")
    assert "1,000 events in shadow" in second and "events, of which" in second
    assert "next: promote, every guardrail passes" in second, second[-1500:]
    assert "next: end, action block" in third and "no canary: ended: action block" in third
    assert "homeostat canary" in end and "the first did as well" in end
    assert "whole" in end and "settings.db" in end
