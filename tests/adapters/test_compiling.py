"""A first start says that it compiles, and for how long."""

from __future__ import annotations

import queue

import pytest

from homeostat.adapters.process import compiling as watching
from homeostat.records import compiling
from homeostat.records.compiled import compiled


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "_done", [])
    monkeypatch.setattr(compiling, "_now", [])


def test_a_kernel_that_is_compiled_is_named_and_one_that_is_a_part_of_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = []
    plain = compiling.compiles
    monkeypatch.setattr(compiling, "compiles", lambda name: (names.append(name), plain(name))[1])

    @compiled
    def part(x: float) -> float:
        return x + 1.0

    @compiled
    def whole(x: float) -> float:
        return part(x) * 2.0

    assert whole(1.0) == 4.0 and whole(2.0) == 6.0
    assert names == [f"{__name__}.whole"] and compiling.done() == 1 and not compiling.now()


def test_only_the_time_in_which_something_is_compiled_counts() -> None:
    watch, now_s = watching.Watch(), 0.0
    assert not watch.look(now_s)
    for name in ("a", "b"):
        with compiling.compiles(name):
            for _ in range(41):
                now_s += 0.5
                assert watch.look(now_s)
        now_s += 0.25
        assert not watch.look(now_s)
        now_s += 100.0
        assert not watch.look(now_s)
    assert watch.spent_s == pytest.approx(2 * 20.0)
    assert watch.text == f"{watching.TEXT}: 40 s so far, {watching.USUALLY}"


def test_a_line_comes_while_kernels_are_compiled_and_none_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "AFTER_S", 0.0)
    monkeypatch.setattr(watching, "_LOOK_S", 0.001)
    lines: queue.Queue[str] = queue.Queue()
    with watching.said(lines.put):
        pass
    assert lines.empty()
    with watching.said(lines.put), compiling.compiles("a"):
        line = lines.get(timeout=60)
    assert line.startswith("compiling kernels, once on this machine: 0 s so far, usually ")


def test_a_bar_is_shown_while_kernels_are_compiled_and_put_away_after_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "AFTER_S", 0.0)
    monkeypatch.setattr(watching, "_LOOK_S", 0.001)
    shown: queue.Queue[bool] = queue.Queue()
    with watching.said(pytest.fail, lambda what, goes_on: shown.put(goes_on)):
        with compiling.compiles("a"):
            assert shown.get(timeout=60)
        while shown.get(timeout=60):
            continue
