"""Quality estimated without labels: it holds what comes true, and says when it can't be trusted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from homeostat.checks.monitors import MONITOR_CHECKS
from homeostat.checks.ticks import HOUR_NS, NAMES, START_NS, quiet_ticks
from homeostat.maintain.contracts import Known, Tick
from homeostat.maintain.monitor.label_free import DECISIONS, LabelFreeMonitor
from homeostat.maintain.monitor.label_law import LabelLaw
from homeostat.maintain.monitor.promises import PAST, Promises
from homeostat.maintain.monitor.thinned import Thinned
from homeostat.stats.label_free.bands import Contradiction
from homeostat.stats.label_free.estimates import Costs, ranked, realised

DAY_NS = 24 * HOUR_NS
MATURES_NS = 2 * DAY_NS
CUT = 0.1
ONSET = 40
TEMPLATE = quiet_ticks(1, per_hour=5.0)[0]


def prices(numbers, keys, time_ns, action):
    """A stopped decision costs one; one that is let through costs its amount if it is bad."""
    return np.where(action > 0, 1.0, numbers[:, 0]), np.where(action > 0, 1.0, 0.0)


def build() -> LabelFreeMonitor:
    return LabelFreeMonitor(NAMES, MATURES_NS, prices)


@dataclass(frozen=True)
class World:
    """Decisions of a day at once, their outcomes two days later. The same faults as in `tests.support.outcome_ticks`.

    rate : of positives against the risk
    flips : the share of labels that are flipped
    law : how far positives have lost their tie to the risk, from 0 to 1
    n : decisions a day
    drift : of the risks' mean log-odds
    """

    rate: float = 1.0
    flips: float = 0.0
    law: float = 0.0
    n: int = 1_900
    drift: float = 0.0


QUIET = World()


def stream(first: int, last: int, world: World = QUIET, seed: int = 0) -> Iterator[Tick]:
    """Ticks of the days; of those before the onset, of a quiet world."""
    waiting: dict[int, Known] = {}
    for day in range(max(0, first - 2), last):
        made, waiting[day] = _day(day, world if day >= ONSET else QUIET, np.random.default_rng([seed, day]))
        if day >= first:
            yield replace(made, known=waiting.get(day - 2, made.known))


def _day(day: int, world: World, rng: np.random.Generator) -> tuple[Tick, Known]:
    """The decisions of a day, and their mature outcomes."""
    n = int(rng.poisson(world.n))
    begin = START_NS + day * DAY_NS
    time_ns = begin + np.sort(rng.integers(1, DAY_NS, n))
    amount, risk = rng.lognormal(3.0, 0.6, n), 1 / (1 + np.exp(-rng.normal(world.drift - 4.0, 1.5, n)))
    chance = (1 - world.law) * risk * world.rate + world.law * risk.mean()
    label = (rng.random(n) < chance) != (rng.random(n) < world.flips)
    action = (risk > CUT).astype(np.int16)
    at, octets, ints = np.zeros(n, np.int64), np.zeros(n, np.uint8), np.zeros(n, np.int64)
    numbers = np.column_stack([amount, np.ones(n), np.full(n, 11.0)])
    values = np.column_stack([numbers, risk, rng.normal(size=n)])
    events = replace(TEMPLATE.events.rows(at), time_ns=time_ns, numbers=numbers)
    tick = replace(
        TEMPLATE, number=day + 1, start_ns=begin, end_ns=begin + DAY_NS, events=events,
        features=replace(TEMPLATE.features.rows(at), values=values), scores=np.column_stack([risk, risk]), risk=risk,
        proposed=action, action=action, rule=action - 1, hits=octets.astype(np.uint64), explored=octets,
        fallback=octets, propensity=np.ones((n, 3)), settings=ints, version=ints, took_us=np.zeros(n),
        arrived_ns=time_ns, events_n=n,
    )  # fmt: skip
    known = Known(
        time_ns, time_ns + MATURES_NS, label.astype(float), np.full(n, np.nan), risk, action, octets, octets + 1,
        numbers, values, events.keys, ints, octets + 1,
    )  # fmt: skip
    return tick, known


@cache
def past() -> dict[str, np.ndarray]:
    """The memory after a quiet past, which all worlds share."""
    monitor = build()
    for tick in stream(0, ONSET):
        monitor.measure(tick)
    return monitor.state()


def known() -> LabelFreeMonitor:
    """A monitor that has seen the past."""
    monitor = build()
    monitor.restore(past())
    return monitor


def watched(days: int = 12, **changes: Any) -> tuple[LabelFreeMonitor, list[float]]:
    """The monitor after some days of another world, and what its fact was on each."""
    monitor = known()
    facts = [float(monitor.measure(tick).value[-1]) for tick in stream(ONSET, ONSET + days, World(**changes))]
    return monitor, facts


def test_a_quiet_world_contradicts_nothing_and_estimates_hold_what_comes_true():
    monitor, held = known(), defaultdict(list)
    outcomes, estimates = {}, {}
    for day, tick in enumerate(stream(ONSET, ONSET + 20, seed=3)):
        outcomes[day - 2] = tick.known
        found = monitor.measure(tick)
        assert not found.value[-1] > 0.0
        if np.isfinite(found.value[0]):
            estimates[day] = monitor.standing()["estimated"]
    for day, estimated in estimates.items():
        if day not in outcomes:
            continue
        came = outcomes[day]
        positive, negative = prices(came.numbers, None, None, came.action)
        costs = Costs(negative, positive, positive, negative)
        true = realised(ranked(came.risk, came.action > 0, costs=costs), came.label)
        for name, band in estimated.items():
            held[name].append(band["low"] <= true[name] <= band["high"])
    assert set(held) == {"auc", "accuracy", "f1", "average_precision", "cost"}
    assert all(len(hits) == 18 and sum(hits) >= 15 for hits in held.values()), held


@pytest.mark.parametrize("change", [{"n": 900}, {"n": 6_000}, {"drift": 0.7}, {"drift": -0.7}])
def test_growth_and_other_people_contradict_nothing(change):
    monitor, facts = watched(**change)
    assert facts and not any(facts)
    assert monitor.standing()["assumption_broken"] is False


@pytest.mark.parametrize(("change", "size"), [("law", 0.4), ("law", 0.7), ("law", 1.0),
                                              ("rate", 1.5), ("rate", 2.0), ("rate", 3.0),
                                              ("flips", 0.04), ("flips", 0.08), ("flips", 0.15)])  # fmt: skip
def test_the_first_outcomes_of_another_law_break_the_assumption(change, size):
    monitor, facts = watched(**{change: size})
    assert any(facts) and not any(facts[:2])  # Outcomes are mature two days later.
    standing = monitor.standing()
    assert standing["assumption_broken"] is True and "contradict" in standing["why"]
    for series in range(len(monitor.series)):
        assert monitor.notes(series)["assumption broken"] is True


def test_estimates_follow_decisions_at_once_and_need_no_outcome():
    monitor = known()
    before = monitor.standing()["estimated"]
    for tick in stream(ONSET, ONSET + 1):
        monitor.measure(replace(tick, action=np.ones(len(tick), np.int16)))  # All are stopped.
    after = monitor.standing()["estimated"]
    assert after["accuracy"]["value"] < 0.2 < before["accuracy"]["value"]
    assert after["cost"]["value"] == pytest.approx(1.0)
    assert after["auc"]["value"] == pytest.approx(before["auc"]["value"], abs=0.05)


def test_an_app_without_costs_has_no_estimate_of_cost():
    monitor = LabelFreeMonitor(NAMES, MATURES_NS)
    assert "estimated cost of a decision" not in [one.name for one in monitor.series]
    for tick in stream(0, 26):
        monitor.measure(tick)
    assert set(monitor.standing()["estimated"]) == {"auc", "accuracy", "f1", "average_precision"}


def test_another_version_is_named_until_the_law_is_learned_again():
    monitor = known()
    for tick in stream(ONSET, ONSET + 1):
        monitor.measure(replace(tick, versions=("app-1+b",)))
    assert "another version" in monitor.standing()["why"]


@pytest.mark.parametrize("check", MONITOR_CHECKS, ids=lambda check: check.__name__)
def test_with_a_law_it_keeps_the_contract_of_monitors(check):
    check(known, list(stream(ONSET, ONSET + 3)))


def test_the_sample_of_a_stream_does_not_depend_on_its_pieces():
    rng = np.random.default_rng(1)
    numbers = np.arange(5_000.0)
    for pieces in ([5_000], [1] * 300 + [4_700], rng.multinomial(5_000, np.ones(60) / 60).tolist()):
        sample, start = Thinned(256, {"x": np.zeros(0), "y": np.zeros((0, 2))}), 0
        for n in pieces:
            at = sample.wanted(n)
            rows = numbers[start : start + n][at]
            sample.add(n, at, {"x": rows, "y": np.column_stack([rows, -rows])})
            start += n
        found = sample.rows()
        assert found["x"].tolist() == numbers[::32].tolist() and (found["y"][:, 1] == -found["x"]).all()
    assert len(numbers[::32]) <= 256 < len(numbers[::16])
    sample.clear()
    assert len(sample) == 0 and not sample.memory["y"].any()


def test_a_law_of_chosen_rows_is_that_of_all_rows():
    rng, law = np.random.default_rng(5), LabelLaw(3)
    assert not law.learn()
    for _ in range(30):
        x = rng.normal(size=(3_000, 3))
        risk = 1 / (1 + np.exp(3.5 - x[:, 0]))
        law.remember(x.astype(np.float32), risk, (rng.random(3_000) < risk).astype(float))
    assert law.learn() and law.ready
    x = rng.normal(size=(20_000, 3))
    risk = 1 / (1 + np.exp(3.5 - x[:, 0]))
    q = law.probabilities(x.astype(np.float32), risk)
    assert q.shape == (6, 20_000)
    assert q[0].mean() == pytest.approx(risk.mean(), rel=0.1)
    assert np.corrcoef(np.log(q[0]), np.log(risk))[0, 1] > 0.98


def test_the_excess_is_that_of_a_plain_count_over_the_last_chunks():
    rng, promises = np.random.default_rng(2), Promises(("auc",))
    kept = []
    for day in range(40):
        gap, deviation = float(rng.normal(0.0, 0.03)), 0.02
        promises.hold(Contradiction({"auc": gap, "share": 0.0}, {"auc": deviation, "share": 0.01}), 500, day)
        kept.append(gap)
        assert not promises.contradicted
        if len(kept) >= 5:
            last = np.array(kept[-PAST:])
            expected = max(0.0, float(np.mean(last**2 - deviation**2)))
            assert promises.excess.variance["auc"] == pytest.approx(expected)


def test_a_broken_promise_does_not_become_usual_and_a_kept_one_mends_it():
    promises = Promises(("auc",))

    def hold(gap: float, day: int) -> None:
        promises.hold(Contradiction({"auc": gap, "share": 0.0}, {"auc": 0.02, "share": 0.01}), 500, day)

    for day in range(10):
        hold(0.01 * (-1) ** day, day)
    assert promises.ready and promises.broken_since is None
    for day in range(10, 18):
        hold(-0.2, day)
        assert promises.contradicted > 4.0 and promises.broken_since == 10
    assert promises.excess.variance["auc"] == 0.0 and "auc -0.2" in promises.wording()
    hold(0.0, 18)
    assert promises.broken_since is None  # The last chunk is small again: nothing is certain of now.


def test_memory_is_of_a_fixed_size():
    shapes = {name: column.shape for name, column in build().state().items()}
    assert {name: column.shape for name, column in past().items()} == shapes
    assert sum(column.nbytes for column in past().values()) < 2_000_000
    assert DECISIONS == shapes["decided/risk"][0]
