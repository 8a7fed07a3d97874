"""Outcomes that come due in numbers: the windows take them in by themselves, and no decision is another for it."""

from __future__ import annotations

import pytest

from homeostat import load
from homeostat.decide import loop

pytestmark = pytest.mark.usefixtures("unhurried")

START = 1_780_000_000
DAY = 86_400


def payment(number: int, at: int) -> dict:
    return {
        "event_id": number, "time": at, "customer": number % 7, "terminal": number % 5,
        "amount": 10 + 13.7 * (number % 11),
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("many", "rows"), [(1, 1), (1, 7), (20, 64)])
def test_decisions_are_the_same_whether_outcomes_are_taken_in_apart_or_not(monkeypatch, many: int, rows: int) -> None:
    def run() -> list[dict]:
        told = []
        with load("payments") as engine:
            for day in range(4):
                first = 40 * day
                told += engine.decide([payment(k, START + day * 5 * DAY + k) for k in range(first, first + 40)])
                labels = [{"event_id": k, "label": int(k % 3 == 0)} for k in range(first, first + 40)]
                engine.learn([{**one, "time": START + day * 5 * DAY + 1000} for one in labels])
            return [{name: value for name, value in one.items() if name != "took_us"} for one in told]

    expected = run()
    apart = []
    caught_up = loop.DecisionLoop._caught_up
    monkeypatch.setattr(
        loop.DecisionLoop, "_caught_up", lambda self, rows: (apart.append(rows), caught_up(self, rows))[1]
    )
    monkeypatch.setattr(loop, "_MANY_ROWS", many)
    monkeypatch.setattr(loop, "_SLICE_ROWS", rows)
    assert run() == expected and apart
    assert any(one["risk"] != expected[0]["risk"] for one in expected)
