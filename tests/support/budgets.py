"""How long the tests of each folder took, beside what they may take, so that a suite does not grow slow unnoticed.

A folder over its budget is shown and fails nothing: machines differ, and busy ones are slow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

# Seconds of all workers together, on 2 idle cores; 1,500 of these are 12.5 minutes of both.
BUDGETS: Mapping[str, int] = {
    "tests/engine": 380, "tests/adapters": 300, "tests/jobs": 130, "tests/serve": 100, "tests/decide": 95,
    "tests/cli": 90, "tests/checks": 65, "tests/apps": 55, "tests/maintain": 40, "tests": 40, "tests/stats": 30,
    "tests/worker": 30, "tests/benchmarks": 25, "tests/deploy": 25, "tests/models": 25, "tests/config": 15,
    "tests/records": 15, "tests/sim": 10, "tests/trials": 10, "src": 8, "tests/charts": 6, "tests/expressions": 5,
}  # fmt: skip


class Timed(Protocol):
    """A report of pytest's."""

    nodeid: str
    duration: float


def budget_table(reports: Iterable[Timed], budgets: Mapping[str, int] = BUDGETS) -> list[str]:
    """The lines of the table, the slowest folder first; those below a second together in one."""
    spent: Counter[str] = Counter()
    for report in reports:
        spent[folder_of(report.nodeid)] += report.duration
    if not spent:
        return []
    lines = [f"{'folder':<24}{'seconds':>9}{'budget':>9}"]
    for folder, seconds in spent.most_common():
        if seconds >= 1:
            lines.append(_line(folder, seconds, budgets.get(folder)))
    small = sum(seconds for seconds in spent.values() if seconds < 1)
    lines += [_line("all others", small, None)] * (small > 0)
    return [*lines, _line("together", spent.total(), sum(budgets.values()) or None)]


def folder_of(nodeid: str) -> str:
    """The folder that a test is counted for.

    >>> folder_of("tests/engine/shared/test_health.py::test_a"), folder_of("src/homeostat/stats/chance.py::chance")
    ('tests/engine', 'src')
    """
    parts = nodeid.partition("::")[0].split("/")
    return parts[0] if parts[0] != "tests" else "/".join(parts[:2]) if len(parts) > 2 else "tests"


def _line(name: str, seconds: float, budget: int | None) -> str:
    over = "  over" if budget is not None and seconds > budget else ""
    return f"{name:<24}{seconds:>9.1f}{'' if budget is None else budget:>9}{over}"
