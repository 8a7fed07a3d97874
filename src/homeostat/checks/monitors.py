"""The contract of every monitor.

A plug-in's author calls each check with a way to build the monitor, and ticks of an app that it fits::

    @pytest.mark.parametrize("check", MONITOR_CHECKS, ids=lambda check: check.__name__)
    def test_my_monitor(check):
        check(lambda: MyMonitor(NAMES), quiet_ticks(200))

`homeostat.checks.ticks` makes such ticks. Each check asserts; none needs pytest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from homeostat.checks.ticks import no_outcomes
from homeostat.maintain.blocks import block_of
from homeostat.maintain.contracts import BlockMonitor, Monitor, Tick
from homeostat.records.arrays import State
from homeostat.records.events import DeadLetter
from homeostat.records.features import Features
from homeostat.records.signals import Measured

Builds = Callable[[], Monitor]


def series_have_keys_of_their_own(build: Builds, ticks: Sequence[Tick]) -> None:
    """Series are fixed from the making on, named by their monitor, and no two have one key."""
    monitor = build()
    keys = [one.key for one in monitor.series]
    assert keys and len(set(keys)) == len(keys), f"series share a key: {sorted(keys)}"
    assert {one.monitor for one in monitor.series} == {monitor.name}, "series name another monitor"
    assert keys == [one.key for one in build().series]
    _run(monitor, ticks)
    assert keys == [one.key for one in monitor.series], "series change while measuring"


def each_series_has_one_value_a_tick(build: Builds, ticks: Sequence[Tick]) -> None:
    """Value, n and spread are float64 (series,); a value that is there rests on something."""
    _run(build(), ticks)


def nothing_is_measured_of_nothing(build: Builds, ticks: Sequence[Tick]) -> None:
    """Ticks without events, at the start and in between, raise nothing, and have no value but counts and facts."""
    monitor = build()
    for tick in (_empty(ticks[0]), *ticks[:3], _empty(ticks[2])):
        found = _sound(monitor, tick)
        if len(tick) == 0 and len(tick.known.label) == 0:
            quiet = [k for k, one in enumerate(monitor.series) if one.scale in ("share", "mean")]
            busy = [monitor.series[k].key for k in quiet if found.n[k] > max(1, len(tick))]
            assert not busy, f"of nothing, {busy} rest on something"


def gaps_and_extremes_are_measured(build: Builds, ticks: Sequence[Tick]) -> None:
    """Missing and infinite values, all of one kind, and one event alone raise nothing."""
    for worst in (np.nan, np.inf, -np.inf, 0.0, -1e300, 5e-324):
        monitor = build()
        _run(monitor, ticks[: len(ticks) // 2])
        for tick in ticks[len(ticks) // 2 :][:30]:
            numbers, values = np.full_like(tick.events.numbers, worst), np.full_like(tick.features.values, worst)
            odd = replace(
                tick, events=replace(tick.events, numbers=numbers),
                features=Features(tick.features.names, values, tick.features.freshness),
                scores=np.full_like(tick.scores, np.nan), risk=np.full_like(tick.risk, np.nan),
                letters=(DeadLetter(1, "amount", "x", "wrong_type"),), letters_n=5, repeats=3,
            )  # fmt: skip
            _sound(monitor, odd)


def a_restart_changes_nothing(build: Builds, ticks: Sequence[Tick]) -> None:
    """`restore(state())` goes on bit for bit, and a state that was taken stays as it was."""
    whole, half = build(), len(ticks) // 2
    expected = _run(whole, ticks)
    first = build()
    _run(first, ticks[:half])
    state = first.state()
    before = {name: column.tobytes() for name, column in state.items()}
    again = build()
    again.restore({name: column.copy() for name, column in state.items()})
    found = _run(again, ticks[half:])
    assert [_bits(one) for one in found] == [_bits(one) for one in expected[half:]], "a restart changes figures"
    _run(first, ticks[half:])
    assert before == {name: column.tobytes() for name, column in state.items()}, "a state changes after it was taken"
    ends = [{name: column.tobytes() for name, column in one.state().items()} for one in (whole, again, first)]
    assert ends[0] == ends[1] == ends[2], "a restart changes the state"


def blocks_change_nothing(build: Builds, ticks: Sequence[Tick]) -> None:
    """A monitor that measures blocks gives the figures, notes and state of single ticks, bit for bit, however cut."""
    whole = build()
    if not isinstance(whole, BlockMonitor):
        return
    expected = [(_bits(_sound(whole, tick)), _notes(whole)) for tick in ticks]
    end = {name: column.tobytes() for name, column in whole.state().items()}
    rng = np.random.default_rng(7)
    for longest in (2, 30, 400):
        monitor, found, start = build(), [], 0
        while start < len(ticks):
            stop = min(start + int(rng.integers(1, longest + 1)), len(ticks))
            assert isinstance(monitor, BlockMonitor)
            measured = monitor.measure_block(block_of(ticks[start:stop]))
            columns = (measured.value, measured.n, measured.spread)
            assert all(one.shape == (stop - start, len(whole.series)) for one in columns), "a block has another shape"
            for at in range(stop - start):
                one = Measured(*(column[at] for column in columns))
                found.append((_bits(one), _notes(monitor, at)))
            start = stop
            if rng.random() < 0.3:
                state, monitor = monitor.state(), build()
                monitor.restore(state)
        wrong = [at for at, both in enumerate(zip(found, expected, strict=True)) if both[0] != both[1]]
        assert not wrong, f"blocks of up to {longest} ticks change tick {wrong[0]}"
        assert {name: column.tobytes() for name, column in monitor.state().items()} == end, "blocks change the state"


def memory_does_not_grow(build: Builds, ticks: Sequence[Tick]) -> None:
    """After twice the time, a monitor remembers no more than half as much again."""
    monitor = build()
    _run(monitor, ticks)
    once = _size(monitor.state())
    span = ticks[-1].end_ns - ticks[0].start_ns
    _run(monitor, [_later(tick, span) for tick in ticks])
    assert _size(monitor.state()) <= 1.5 * once + 65_536, f"{_size(monitor.state())} bytes after {once}"


def ticks_are_left_as_they_were(build: Builds, ticks: Sequence[Tick]) -> None:
    """A tick is everybody's: no monitor writes to it."""
    monitor = build()
    for tick in ticks[:40]:
        before = tick.events.numbers.tobytes(), tick.features.values.tobytes(), tick.risk.tobytes()
        monitor.measure(tick)
        assert (tick.events.numbers.tobytes(), tick.features.values.tobytes(), tick.risk.tobytes()) == before


def notes_can_be_written_down(build: Builds, ticks: Sequence[Tick]) -> None:
    """The notes of every series are JSON, and short."""
    monitor = build()
    _run(monitor, ticks)
    for k in range(len(monitor.series)):
        assert len(json.dumps(monitor.notes(k))) < 100_000


def _run(monitor: Monitor, ticks: Sequence[Tick]) -> list[Measured]:
    return [_sound(monitor, tick) for tick in ticks]


def _notes(monitor: BlockMonitor, at: int = -1) -> list[str]:
    return [json.dumps(monitor.notes(k, at), sort_keys=True) for k in range(len(monitor.series))]


def _sound(monitor: Monitor, tick: Tick) -> Measured:
    found = monitor.measure(tick)
    k = len(monitor.series)
    for what, column in (("values", found.value), ("n", found.n), ("spreads", found.spread)):
        assert isinstance(column, np.ndarray) and column.dtype == np.float64, f"{what} are no float64 array"
        assert column.shape == (k,), f"{what} of {k} series have the shape {column.shape}"
    there = ~np.isnan(found.value)
    assert not np.isinf(found.value).any(), "a value is infinite"
    assert (found.n[there] > 0).all(), "a value rests on nothing"
    shares = np.array([one.scale == "share" for one in monitor.series]) & there
    assert ((found.value[shares] >= 0) & (found.value[shares] <= 1)).all(), "a share is not in [0, 1]"
    return Measured(found.value.copy(), found.n.copy(), found.spread.copy())


def _empty(tick: Tick) -> Tick:
    none = slice(0, 0)
    columns = {
        name: getattr(tick, name)[none]
        for name in ("scores", "risk", "proposed", "action", "rule", "hits", "explored", "fallback", "propensity",
                     "settings", "version", "took_us", "arrived_ns")
    }  # fmt: skip
    known = no_outcomes(tick.events.numbers.shape[1], tick.features.values.shape[1], tick.events.keys.shape[1])
    return replace(
        tick, events=tick.events.rows(none), features=tick.features.rows(none), versions=(), known=known, events_n=0,
        **columns,
    )  # fmt: skip


def _later(tick: Tick, span: int) -> Tick:
    events = replace(tick.events, time_ns=tick.events.time_ns + span, id_code=tick.events.id_code + 10**9)
    return replace(tick, events=events, start_ns=tick.start_ns + span, end_ns=tick.end_ns + span)


def _bits(found: Measured) -> tuple[bytes, bytes, bytes]:
    return found.value.tobytes(), found.n.tobytes(), found.spread.tobytes()


def _size(state: State) -> int:
    return sum(int(column.nbytes) for column in state.values())


MONITOR_CHECKS: tuple[Callable[[Builds, Sequence[Tick]], None], ...] = (
    series_have_keys_of_their_own,
    each_series_has_one_value_a_tick,
    nothing_is_measured_of_nothing,
    gaps_and_extremes_are_measured,
    a_restart_changes_nothing,
    blocks_change_nothing,
    memory_does_not_grow,
    ticks_are_left_as_they_were,
    notes_can_be_written_down,
)
