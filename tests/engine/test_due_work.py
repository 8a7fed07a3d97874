"""Outcomes that come due in numbers: the windows take them in by themselves, and no decision is another for it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from homeostat import load
from homeostat.adapters.disk.snapshots import FileSnapshots
from homeostat.decide import arrivals, loop
from homeostat.decide.windows.engine import Windows

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
        answers = []
        with load("payments") as engine:
            for day in range(4):
                first = 40 * day
                answers += engine.decide([payment(k, START + day * 5 * DAY + k) for k in range(first, first + 40)])
                labels = [{"event_id": k, "label": int(k % 3 == 0)} for k in range(first, first + 40)]
                engine.learn([{**one, "time": START + day * 5 * DAY + 1000} for one in labels])
            return [{name: value for name, value in one.items() if name != "took_us"} for one in answers]

    expected = run()
    apart = []
    monkeypatch.setattr(loop, "caught_up", lambda *given: (apart.append(given), arrivals.caught_up(*given))[1])
    # Those of a file of past outcomes wait for their moment, as these do now.
    monkeypatch.setattr(arrivals.Arrivals, "take", lambda self, outcomes: self.add(outcomes))
    monkeypatch.setattr(loop, "_MANY_ROWS", many)
    monkeypatch.setattr(arrivals, "_SLICE_ROWS", rows)
    assert run() == expected and apart
    assert any(one["risk"] != expected[0]["risk"] for one in expected)


@pytest.mark.long
def test_a_snapshot_is_written_by_another_thread_while_decisions_go_on(tmp_path: Path) -> None:
    def decided_rows(engine, numbers) -> list[dict]:
        made = engine.decide([payment(k, START + 60 * k) for k in numbers])
        return [{name: value for name, value in one.items() if name != "took_us"} for one in made]

    with load("payments") as engine:
        expected = decided_rows(engine, range(90))
    engine = load("payments", data=tmp_path)
    made = decided_rows(engine, range(30))
    write = engine.snapshot()
    made += decided_rows(engine, range(30, 60))
    with ThreadPoolExecutor(1) as other:
        other.submit(write).result()
    engine.parts.opened.close()  # As if it was killed: nothing is saved at the end.
    kept = FileSnapshots(tmp_path).load()
    assert kept is not None and kept.sequence == 1
    with load("payments", data=tmp_path) as again:
        assert made + decided_rows(again, range(60, 90)) == expected


def test_taking_a_snapshot_only_copies_and_writing_it_puts_the_copy_in_order(tmp_path: Path, monkeypatch) -> None:
    moved = []
    move = Windows._move
    with load("payments", data=tmp_path) as engine:
        engine.decide([payment(k, START + 60 * k) for k in range(30)])
        live = engine.parts.loop.stages.featurizer.windows
        monkeypatch.setattr(Windows, "_move", lambda self, newest: (moved.append(self is live), move(self, newest))[1])
        write = engine.snapshot()
        assert moved == []
        write()
        assert moved == [False]
        kept, state = FileSnapshots(tmp_path).load(), engine.parts.loop.state()
        assert kept is not None and kept.state.keys() == state.keys()
        assert all(kept.state[name].tobytes() == value.tobytes() for name, value in state.items())
