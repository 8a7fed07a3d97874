"""Which tests were skipped, by reason: a suite that passes says in the same breath what it did not look at."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import pytest


def skips(reports: Iterable[pytest.TestReport | pytest.CollectReport]) -> list[str]:
    """The count, then each reason with its count and its tests, the most frequent first.

    A test with parameters is one line, with how often it was skipped.
    """
    by_reason: dict[str, Counter[str]] = defaultdict(Counter)
    for report in reports:
        by_reason[_reason(report)][report.nodeid.partition("[")[0]] += 1
    if not by_reason:
        return []
    lines = [f"skipped: {sum(tests.total() for tests in by_reason.values())}"]
    for reason, tests in sorted(by_reason.items(), key=lambda item: (-item[1].total(), item[0])):
        lines.append(f"  {tests.total()}: {reason}")
        lines += [f"     {name}{f' ({times} times)' if times > 1 else ''}" for name, times in sorted(tests.items())]
    return lines


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped; of an expected failure, its reason."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(getattr(report, "wasxfail", "")) or "no reason was given"
