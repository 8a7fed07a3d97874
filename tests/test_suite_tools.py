"""The report of a run of the suite: the time of each folder, and which tests the inner loop leaves out."""

from dataclasses import dataclass

from tests.support.budgets import budget_table, folder_of
from tests.support.quick import is_quick


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
