"""A first start says that it compiles, and how far it is."""

from __future__ import annotations

import queue

import numpy as np
import pytest

from homeostat.adapters.process import compiling as watching
from homeostat.records import compiling
from homeostat.records.compiled import compiled

WINDOWS = "homeostat.decide.windows.rows.advance"


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
    assert names == [f"{__name__}.whole"] and compiling.done() == compiling.SHARE and not compiling.now()


def test_what_is_done_only_grows_and_the_present_kernel_grows_with_its_time() -> None:
    watch, shares, now_s = watching.Watch(), [], 0.0
    assert watch.look(now_s) is None
    for name in ("a", "b", WINDOWS, "c"):
        with compiling.compiles(name):
            for _ in range(40):
                now_s += 0.5
                shares.append(watch.look(now_s))
        assert watch.look(now_s) is None
    assert np.all(np.diff(shares) >= 0) and shares[0] < 0.05 and 0.6 < shares[-1] < 1.0
    assert watch.spent_s == pytest.approx(4 * 20, abs=3)


def test_a_line_comes_while_kernels_are_compiled_and_none_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "AFTER_S", 0.0)
    monkeypatch.setattr(watching, "_LOOK_S", 0.001)
    lines: queue.Queue[str] = queue.Queue()
    with watching.said(lines.put):
        pass
    assert lines.empty()
    with watching.said(lines.put), compiling.compiles("a"):
        line = lines.get(timeout=60)
    assert line.startswith("compiling kernels, once on this machine: about ")


def test_a_bar_is_shown_while_kernels_are_compiled_and_put_away_after_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "AFTER_S", 0.0)
    monkeypatch.setattr(watching, "_LOOK_S", 0.001)
    shares: queue.Queue[float] = queue.Queue()
    with watching.said(pytest.fail, lambda what, share: shares.put(share)):
        with compiling.compiles("a"):
            assert shares.get(timeout=60) < 1.0
        while shares.get(timeout=60) < 1.0:
            continue
