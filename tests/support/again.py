"""Run the failed tests of a run once more, one after another, with no other test beside them.

`python -m tests.support.again STATUS` stands behind `pytest || ` in the Makefile. STATUS is the exit code of that run.
A test that fails beside others and passes alone is unsteady. It is named, since it is a fault that has to be mended.
Only a run with failed tests, and with few of them, is tried again. All else fails as it did.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

LASTFAILED = Path(".pytest_cache/all/v/cache/lastfailed")  # Of `make test` alone, which begins with an empty one.
MOST = 5  # More failed tests than these have one cause, which a second run does not remove.


class Outcomes:
    """Plugin of pytest that keeps how each test of its run ended."""

    def __init__(self) -> None:
        self.by_test: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test ends as its worst part: setup, call and teardown."""
        if report.failed or (report.nodeid not in self.by_test and (report.when == "call" or report.skipped)):
            self.by_test[report.nodeid] = report.outcome


def failed_tests(lastfailed: Path) -> list[str]:
    """The tests that failed, by id; a file that could not be collected has no test and is named alone."""
    try:
        return sorted(json.loads(lastfailed.read_text("utf-8")))
    except FileNotFoundError:
        return []


def can_run_again(status: int, failed: list[str], most: int = MOST) -> bool:
    """Whether a second run can tell more than the first did.

    >>> can_run_again(1, ["tests/test_a.py::test_1"]), can_run_again(2, ["tests/test_a.py::test_1"])
    (True, False)
    >>> can_run_again(1, ["tests/test_a.py"]), can_run_again(1, [])
    (False, False)
    """
    return status == pytest.ExitCode.TESTS_FAILED and 0 < len(failed) <= most and all("::" in test for test in failed)


def verdicts(failed: Iterable[str], outcomes: Mapping[str, str]) -> list[str]:
    """The lines of the table, one for each test that failed in the first run."""
    says = {"passed": "unsteady: failed beside others, passed alone", "failed": "failed again, alone"}
    return [f"  {says.get(outcomes.get(test, ''), 'failed, and did not run alone')}  {test}" for test in failed]


def main(status: int, options: Iterable[str] = ()) -> int:
    """The exit code of the second run, or `status` where there is none."""
    failed = failed_tests(LASTFAILED)
    if not can_run_again(status, failed):
        return status
    print("\nrun again, alone:", *failed, sep="\n  ", flush=True)
    outcomes = Outcomes()
    again = int(pytest.main(["-n", "0", "-p", "no:cacheprovider", *options, *failed], plugins=[outcomes]))
    print("\nthe failed tests, run again:", *verdicts(failed, outcomes.by_test), sep="\n")
    passed = all(outcomes.by_test.get(test) == "passed" for test in failed)
    return again if again or passed else status  # A test that is skipped the second time has not passed.


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
