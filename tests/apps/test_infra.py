"""The shipped infra app: what raises an alert, what only watches, and what becomes usual."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest

from homeostat.engine.assembly import open_engine
from homeostat.engine.engine import Engine
from homeostat.jobs.infra.deciding import OUT_OF

pytestmark = pytest.mark.long  # Half a second each: `make quick` leaves them out.
START_S = 0
MONTHS = count(1_700_000_000, 30 * 86_400)


@pytest.fixture(scope="module")
def running() -> Iterator[Engine]:
    with open_engine("infra") as opened:
        yield opened


@pytest.fixture
def engine(running: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """One engine for all tests; each has a month of its own, a later one than that before."""
    monkeypatch.setattr(f"{__name__}.START_S", next(MONTHS))
    return running


def steps(many: int, first: int = 0, host: str = "web-1", seed: int = 1, **more: Any) -> list[dict[str, Any]]:
    """Quiet minutes of a host, with other values where they are named; a number is added, None is missing."""
    rng = np.random.default_rng([seed, first])
    found = []
    for step in range(first, first + many):
        name, time = f"{host} {START_S} {step}", START_S + 60 * step
        event: dict[str, Any] = {"event_id": name, "time": time, "host": f"{host} {START_S}", "restarts": 0}
        event |= {name: 20 + float(rng.normal(0, 0.3)) for name in OUT_OF}
        for name, value in more.items():
            if value is None:
                event.pop(name)
            elif name in OUT_OF:
                event[name] += value
            else:
                event[name] = value
        found.append(event)
    return found


def actions(engine: Engine, events: list[dict[str, Any]]) -> list[str]:
    return [answer["action"] for answer in engine.decide(events)]


def test_a_new_level_alerts_and_is_usual_after_two_hours(engine: Engine) -> None:
    assert set(actions(engine, steps(150))) == {"ok"}
    after = actions(engine, steps(240, 150, cpu=15))
    assert after[2] == "alert" and after[10] == "alert"
    assert set(after[150:]) == {"ok"}


def test_a_deploy_only_watches(engine: Engine) -> None:
    actions(engine, steps(150))
    during = actions(engine, steps(10, 150, cpu=15, deploying=True))
    assert during[-1] == "watch" and "alert" not in during
    assert actions(engine, steps(1, 160, cpu=15)) == ["alert"]


def test_each_metric_alone_alerts(engine: Engine) -> None:
    actions(engine, sorted((one for name in OUT_OF for one in steps(60, host=name)), key=lambda one: one["time"]))
    for metric in OUT_OF:
        (answer,) = engine.decide(steps(1, 60, host=metric, **{metric: 60}))
        assert answer["action"] == "alert", metric
        assert answer["scores"]["rules"] == pytest.approx(0.99, abs=0.02)


def test_two_restarts_alert_and_one_does_not(engine: Engine) -> None:
    actions(engine, steps(60))
    assert actions(engine, steps(1, 60, restarts=1)) == ["ok"]
    assert actions(engine, steps(1, 61, restarts=1)) == ["alert"]


def test_a_young_host_raises_nothing_and_a_missing_metric_is_out_of_nothing(engine: Engine) -> None:
    assert set(actions(engine, [*steps(20), *steps(5, 20, cpu=60)])) == {"ok"}
    assert set(actions(engine, steps(60, 25, host="web-2", latency=None, clock=None))) == {"ok"}
    assert actions(engine, steps(1, 85, host="web-2", latency=None, clock=None, cpu=60)) == ["alert"]


def test_values_that_do_not_move_are_stuck_and_a_silence_is_watched(engine: Engine) -> None:
    actions(engine, steps(60))
    frozen = steps(20, 60)
    for event in frozen:
        event |= dict.fromkeys(OUT_OF, 20.0)
    assert actions(engine, frozen)[-1] == "alert"
    (stuck,) = engine.decide([{**frozen[-1], "event_id": "again", "time": START_S + 60 * 80}])
    assert stuck["rule"] == "stuck"
    (late,) = engine.decide(steps(1, 120, cpu=0.01))
    assert late["action"] == "watch" and late["rule"] == "gap"


def test_hosts_know_nothing_of_each_other(engine: Engine) -> None:
    actions(engine, steps(60))
    assert set(actions(engine, steps(60, 60, host="db-1", cpu=40))) == {"ok"}
    assert actions(engine, steps(1, 120, host="db-1", cpu=100)) == ["alert"]
