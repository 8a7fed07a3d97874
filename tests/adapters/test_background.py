"""Processes that give way to others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GROUP = Path("/proc/self/autogroup")
LEADER = """
import subprocess, sys
from pathlib import Path
def nice(): return Path("/proc/self/autogroup").read_text().split()[-1]
before = nice()
give_way = "from homeostat.adapters.process.background import give_way; give_way()"
subprocess.run([sys.executable, "-c", give_way], check=True, start_new_session=sys.argv[1] == "own")
print(before, nice())
if sys.argv[1] == "own":
    exec(give_way)
    print(nice())
"""


@pytest.mark.skipif(not GROUP.exists(), reason="this system does not share the processor among sessions")
@pytest.mark.parametrize("session", ["own", "the parent's"])
def test_a_process_that_gives_way_slows_no_other_of_its_session(session: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEADER, session], check=True, start_new_session=True, capture_output=True, text=True
    )
    before, after, *own = done.stdout.split()
    assert before == after != "19"
    assert own == (["19"] if session == "own" else [])
