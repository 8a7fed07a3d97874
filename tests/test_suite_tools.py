"""The report of a run of the suite: the time of each folder, and which tests the inner loop leaves out."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import temporary
from tests.support.budgets import budget_table, folder_of
from tests.support.quick import is_quick

ROOT = Path(__file__).parents[1]


@dataclass
class Report:
    nodeid: str
    duration: float


def test_each_folder_stands_beside_its_budget_and_says_where_it_is_over():
    reports = [
        Report("tests/engine/test_a.py::test_1", 30.0), Report("tests/engine/shared/test_b.py::test_2", 15.0),
        Report("tests/stats/test_c.py::test_3", 2.0), Report("tests/records/test_d.py::test_4", 0.25),
        Report("tests/cli/test_e.py::test_5", 0.5),
    ]  # fmt: skip
    lines = budget_table(reports, {"tests/engine": 40, "tests/stats": 5})
    assert [line.split() for line in lines] == [
        ["folder", "seconds", "budget"], ["tests/engine", "45.0", "40", "over"], ["tests/stats", "2.0", "5"],
        ["all", "others", "0.8"], ["together", "47.8", "45", "over"],
    ]  # fmt: skip


def test_without_a_test_there_is_no_table():
    assert budget_table([]) == []


def test_files_beside_the_folders_are_counted_together():
    assert folder_of("tests/test_files.py::test_a") == "tests"


def test_the_inner_loop_leaves_out_servers_and_what_is_marked_as_long():
    assert is_quick(["tmp_path"], {"usefixtures": 1})
    assert not is_quick(["tmp_path", "own_server"], {})
    assert not is_quick([], {"long": 1})


CYCLES = """
import gc
from tests.support.collecting import set_aside
tests = [[] for _ in range(400_000)]
set_aside()
before = gc.get_stats()[2]["collections"]
for _ in range(100):
    cycles = [[one] for one in ([] for _ in range(1_000))]
    for one in cycles:
        one[0].append(one)
print(gc.get_stats()[2]["collections"] - before)
"""


def test_garbage_in_cycles_is_found_however_many_tests_were_collected():
    walks = subprocess.run([sys.executable, "-c", CYCLES], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert int(walks) > 0


@pytest.fixture
def undecided(monkeypatch, tmp_path):
    """As before a run: no folder for temporary files is chosen, and the system's is an empty one."""
    (tmp_path / "system").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "system"))
    monkeypatch.setattr(temporary, "MEMORY", tmp_path / "memory")
    (tmp_path / "memory").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("room", "environ", "place"),
    [(True, {}, "memory"), (False, {}, "system"), (True, {"TMPDIR": "chosen by the user"}, "system")],
)
def test_temporary_files_are_in_memory_where_it_has_room(undecided, monkeypatch, room, environ, place):
    monkeypatch.setattr(temporary, "has_room", lambda memory: room)
    folder = temporary.begin(environ)
    assert folder.parent == undecided / place and environ["TMPDIR"] == str(folder)


def test_each_worker_has_a_folder_of_its_own(undecided):
    folders = {temporary.begin({"PYTEST_XDIST_WORKER": name}) for name in ("gw0", "gw1")}
    assert len(folders) == 2 and all(folder.is_dir() for folder in folders)


def test_the_folders_of_runs_that_are_over_are_removed_and_no_others(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    kept = [f"hmst-{os.getpid()}", "hmst-other", "other"]
    for name in (*kept, f"hmst-{ended.pid}"):
        (tmp_path / name).mkdir()
    temporary.remove_abandoned(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(kept)


def test_a_folder_that_is_not_there_has_no_room():
    assert not temporary.has_room(Path("/no/such/folder"))
