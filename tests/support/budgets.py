"""How long the tests of each folder took, beside what they may take, so that a suite does not grow slow unnoticed.

A folder over its budget is shown and fails nothing: machines differ, and busy ones are slow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

# Seconds of all workers together, on 2 idle cores: 1,620 of these are 13.5 minutes of both, and `make test` begins with
# a minute of other checks.
BUDGETS: Mapping[str, int] = {
    "tests/engine": 400, "tests/adapters": 300, "tests/jobs": 190, "tests/serve": 150, "tests/cli": 110,
    "tests/decide": 75, "tests/checks": 60, "tests": 40, "tests/models": 40, "tests/maintain": 35, "tests/records": 30,
    "tests/stats": 30, "tests/worker": 30, "tests/benchmarks": 25, "tests/deploy": 25, "tests/apps": 15,
    "tests/config": 15, "tests/app": 10, "tests/sim": 10, "tests/trials": 10, "src": 8, "tests/expressions": 6,
    "tests/charts": 4,
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
