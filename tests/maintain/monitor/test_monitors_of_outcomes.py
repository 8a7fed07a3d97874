"""Monitors of outcomes on the alarm scale: raised on their fault at three severities, silent on what resembles it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from tests.support.outcome_ticks import MATURES_NS, World, ticks

from homeostat.checks.ticks import HOUR_NS, NAMES, START_NS
from homeostat.maintain.contracts import Monitor, joined
from homeostat.maintain.monitor.early import EarlyMonitor
from homeostat.maintain.monitor.labels import LabelsMonitor
from homeostat.maintain.monitor.quality import QualityMonitor
from homeostat.maintain.monitor.scale import Scale
from homeostat.maintain.monitor.segments import SegmentsMonitor
from homeostat.records.arrays import State
from homeostat.records.identity import ABSENT
from homeostat.records.signals import Kind, Signal

ONSET = 24 * 22
END = 24 * 30
pytestmark = pytest.mark.long


class Watch:
    """Quality, labels, segments and early positives on one scale."""

    def __init__(self) -> None:
        self.monitors: list[Monitor] = [
            QualityMonitor(NAMES, MATURES_NS), LabelsMonitor(NAMES, MATURES_NS, HOUR_NS),
            SegmentsMonitor(NAMES, MATURES_NS), EarlyMonitor(len(NAMES.entities), MATURES_NS),
        ]  # fmt: skip
        self.series = [one for monitor in self.monitors for one in monitor.series]
        self.scale = Scale("test", self.series, HOUR_NS)
        self.signals: list[Signal] = []

    def run(self, world: World, first: int, last: int) -> None:
        for hour, tick in enumerate(ticks(world, last)):
            if hour >= first:
                measured = joined([one.measure(tick) for one in self.monitors])
                self.signals += self.scale.judge(tick, self.series, measured)

    def state(self) -> dict[str, State]:
        return {"scale": self.scale.state()} | {one.name: one.state() for one in self.monitors}

    def restore(self, state: dict[str, State]) -> None:
        self.scale.restore(state["scale"])
        for one in self.monitors:
            one.restore(state[one.name])


@cache
def past() -> tuple[dict[str, State], int]:
    """The quiet past that all worlds share, and how many alarms it raised."""
    watch = Watch()
    watch.run(World(), 0, ONSET)
    return watch.state(), len([one for one in watch.signals if one.series.alone])


def later(value: float, quiet: float = 0.0) -> Callable[[int], float]:
    """A value from the onset on."""
    return lambda hour: value if hour >= ONSET else quiet


def seen(**changes: Any) -> list[Signal]:
    """The signals since the onset that make an incident."""
    watch = Watch()
    watch.restore(past()[0])
    watch.run(World(**changes), ONSET, END)
    return [one for one in watch.signals if one.still and one.series.alone]


def test_a_quiet_past_raises_nothing() -> None:
    assert past()[1] == 0
    assert not seen()


@pytest.mark.parametrize("busy", [2.0, 5.0])
def test_more_of_the_same_traffic_raises_nothing_of_quality(busy: float) -> None:
    kinds = {one.series.kind for one in seen(busy=later(busy, 1.0))}
    assert not kinds & {Kind.QUALITY, Kind.CONCEPT, Kind.CALIBRATION, Kind.SEGMENT, Kind.FLIPS, Kind.POISONING}


@pytest.mark.parametrize("rate", [1.6, 2.0, 3.0])
def test_more_positives_of_the_same_kind_are_a_base_rate(rate: float) -> None:
    found = seen(rate=later(rate, 1.0))
    assert Kind.BASE_RATE in {one.series.kind for one in found}
    assert not {Kind.FLIPS, Kind.POISONING, Kind.DELAY} & {one.series.kind for one in found}


@pytest.mark.parametrize("law", [0.4, 0.65, 0.9])
def test_a_changed_law_is_a_matter_of_concept_and_quality(law: float) -> None:
    kinds = {one.series.kind for one in seen(law=later(law))}
    assert kinds & {Kind.CONCEPT, Kind.QUALITY}
    assert Kind.DELAY not in kinds


@pytest.mark.parametrize("flips", [0.05, 0.1, 0.2])
def test_flipped_labels_are_found(flips: float) -> None:
    assert Kind.FLIPS in {one.series.kind for one in seen(flips=later(flips))}


@pytest.mark.parametrize("lag_h", [6.0, 24.0, 72.0])
def test_late_reports_are_found_by_their_delay(lag_h: float) -> None:
    found = seen(lag_h=later(lag_h))
    assert Kind.DELAY in {one.series.kind for one in found}
    first = min(one.at_ns for one in found if one.series.kind == Kind.DELAY)
    assert first <= START_NS + ONSET * HOUR_NS + MATURES_NS + 12 * HOUR_NS


@pytest.mark.parametrize("poison", [0.5, 1.0, 3.0])
def test_a_few_accounts_that_report_nonsense_are_found(poison: float) -> None:
    assert Kind.POISONING in {one.series.kind for one in seen(poison=later(poison))}


@pytest.mark.parametrize("wrong", [3.0, 6.0, 12.0])
def test_a_segment_that_goes_wrong_is_named(wrong: float) -> None:
    found = [one for one in seen(wrong=later(wrong, 1.0)) if one.series.kind == Kind.SEGMENT]
    assert "segment:amount in quarter 3" in {one.series.node for one in found}


def test_positives_at_low_risk_of_a_segment_rise_before_outcomes_are_mature() -> None:
    monitor = SegmentsMonitor(NAMES, MATURES_NS)
    monitor.restore(past()[0]["segments"])
    soon = [tick for hour, tick in enumerate(ticks(World(wrong=later(12.0, 1.0)), ONSET + 46)) if hour >= ONSET + 20]
    nodes = [one.node for one in monitor.series if one.name == "first positives at low risk"]
    quarters = [nodes.index(f"segment:amount in quarter {j}") for j in (1, 2, 3, 4)]
    soon = [replace(one, known=replace(one.known, keys=np.full_like(one.known.keys, ABSENT))) for one in soon]
    share = np.mean([monitor.measure(tick).value[quarters] for tick in soon], axis=0)
    assert share[2] > 3 * np.delete(share, 2).max()


def test_the_figures_equal_those_of_a_naive_twin() -> None:
    monitor = QualityMonitor(NAMES, MATURES_NS)
    labels, risks = [], []
    for hour, tick in enumerate(ticks(World(), 60)):
        found = monitor.measure(tick)
        mature = tick.known.mature == 1
        if hour > 50 and mature.any():
            labels = tick.known.label[mature].tolist()
            risks = np.clip(tick.known.risk[mature], 0.0005, 0.9995).tolist()
            rest = [y - r for y, r in zip(labels, risks, strict=True)]
            loss = [
                -np.log(r if y else 1 - r) + r * np.log(r) + (1 - r) * np.log(1 - r)
                for y, r in zip(labels, risks, strict=True)
            ]
            assert found.value[1] == pytest.approx(sum(labels) / len(labels))
            assert found.value[6] == pytest.approx(sum(rest) / len(rest))
            assert found.value[3] == pytest.approx(sum(loss) / len(loss))
    assert labels
