"""Figures of repeats count sums, and name what they could not measure."""

from __future__ import annotations

from typing import Any

from benchmarks.repeats import figures_of


def row(steps: tuple[int, int], right: tuple[bool, bool], recalled: bool, repeated: bool = True) -> dict[str, Any]:
    """A line: without and with the memory."""
    sides = [
        {"steps": n, "seconds": n / 10, "right": ok, "findings": [["a", "b"]], "recalled": ["x"] * (k and recalled)}
        for k, (n, ok) in enumerate(zip(steps, right, strict=True))
    ]
    return {"repeated": repeated, "truth": [["a", "b"]], "without": sides[0], "with": sides[1]}


def test_parts_are_of_sums_and_runs_without_a_memory_count_for_nothing() -> None:
    first = {"repeated": True, "truth": [], "without": row((9, 0), (True, True), False)["without"]}
    rows = [
        first,
        row((10, 1), (True, True), True),
        row((10, 12), (False, True), False),
        row((4, 6), (True, False), False, False),
    ]
    found = {one.name.strip(): one.value for one in figures_of(rows)}
    assert found["steps on repeats"] == 13 / 20 and found["steps on those verified"] == 0.1
    assert found["right on repeats"] == 1.0 and found["right on repeats without a memory"] == 0.5
    assert found["steps on causes that it does not know"] == 1.5
    assert found["repeats that were verified"] == 0.5 and found["other causes than without a memory"] == 0.0
    assert figures_of([])[0].value is None
