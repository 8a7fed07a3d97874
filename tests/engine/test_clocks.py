"""Events from clocks that are ahead of this one: they hide nobody, before and after a restart."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat import load
from homeostat.checks.stand_ins import ScriptedClock
from homeostat.config.load import load_app
from homeostat.config.scalars import duration_ns
from homeostat.config.starter import starter
from homeostat.decide.intake.objects import read_objects
from homeostat.engine.assembly import prepare
from homeostat.engine.dating import stepped
from homeostat.engine.engine import Engine
from homeostat.engine.isolating import UnusableEvent
from homeostat.engine.metrics import engine_registry
from homeostat.serve.openapi import document

MINUTE_NS, HOUR_NS, DAY_NS = 60 * 10**9, 3600 * 10**9, 86_400 * 10**9
NOW_NS = 1_780_000_000 * 10**9


def app_file(folder: Path, **events: str) -> Path:
    """The starter with other settings of its events."""
    lines = starter().splitlines(keepends=True)
    at = lines.index("events:\n") + 1
    kept = [line for line in lines[at:] if not line.strip().startswith(tuple(f"{name}:" for name in events))]
    path = folder / "app.yaml"
    path.write_text("".join([*lines[:at], *(f"  {name}: {value}\n" for name, value in events.items()), *kept]))
    return path


def opened(app: Path, data: Path | None = None, now_ns: int = NOW_NS) -> Engine:
    """An engine whose events come in when a clock says that is moved by hand."""
    engine = load(app, data=data)
    engine.parts.clock = ScriptedClock(now_ns)
    return engine


def event(name: str, time_ns: int, who: str = "a", value: float = 1.0) -> dict[str, Any]:
    """One event, its time as text with nine digits."""
    at = datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return {
        "event_id": name, "entity_id": who, "event_type": "login", "value": value,
        "timestamp": f"{at}.{time_ns % 10**9:09d}Z",
    }  # fmt: skip


def seen(engine: Engine, name: str) -> tuple[bool, dict[str, Any]]:
    """Whether an event was late, and the features that it was decided on."""
    found = engine.decision(name, features=True)
    assert found is not None
    return found["late"], found["features"]


def killed(engine: Engine) -> None:
    """End as a killed process does, which saves nothing."""
    engine.parts.loop.close()
    for part in (engine.parts.journal, engine.parts.audit, engine.parts.dead_letters):
        if part is not None:
            part.close()


@pytest.mark.long
@pytest.mark.parametrize("ahead_ns", [22 * HOUR_NS, 2 * MINUTE_NS, 1_000_000_001])
@pytest.mark.parametrize("lateness", ["0s", "10s"])
@pytest.mark.parametrize("fast", ["a", "b"])
def test_one_event_from_a_fast_clock_makes_no_other_late_and_empties_no_window(
    tmp_path: Path, fast: str, lateness: str, ahead_ns: int
) -> None:
    app = app_file(tmp_path, lateness=lateness, ahead_max="1d")
    with opened(app) as engine, opened(app) as other:
        honest = [event("1", NOW_NS - 5 * MINUTE_NS), event("2", NOW_NS)]
        for one in honest:
            engine.decide(one)
            other.decide(one)
        engine.decide(event("fast", NOW_NS + ahead_ns, fast))
        for k, who in enumerate("aab"):
            after = event(f"3{k}", NOW_NS, who)
            engine.decide(after)
            other.decide(after)
            assert seen(engine, f"3{k}") == seen(other, f"3{k}")
            assert seen(engine, f"3{k}")[0] is False
        assert engine.parts.loop.stages.watermark.now_ns == NOW_NS
        assert seen(engine, "30")[1]["count_1h"]["value"] == 3


def test_an_event_within_the_skew_is_taken_at_its_word(tmp_path: Path) -> None:
    with opened(app_file(tmp_path, lateness="0s", skew="2s")) as engine:
        engine.decide(event("1", NOW_NS + 2 * 10**9))
        assert engine.decide(event("2", NOW_NS))["late"] is True


def test_time_goes_on_where_every_event_is_ahead_because_the_own_clock_is_slow(tmp_path: Path) -> None:
    with opened(app_file(tmp_path, ahead_max="10m")) as engine:
        for k in range(3):
            engine.decide(event(str(k), engine.parts.clock.now_ns() + 5 * MINUTE_NS))
            assert engine.parts.loop.stages.watermark.now_ns == engine.parts.clock.now_ns() - 10 * MINUTE_NS
            engine.parts.clock.advance(HOUR_NS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", [Engine.close, killed])
def test_honest_events_are_not_refused_after_one_from_a_fast_clock_nor_after_a_restart(
    tmp_path: Path, end: Any
) -> None:
    app = app_file(tmp_path, lateness="10s", late="reject", ahead_max="1d")
    engine = opened(app, tmp_path / "data")
    engine.decide(event("1", NOW_NS))
    engine.decide(event("fast", NOW_NS + 22 * HOUR_NS, "b"))
    assert engine.decide(event("2", NOW_NS))["late"] is False
    end(engine)
    with opened(app, tmp_path / "data", NOW_NS + MINUTE_NS) as again:
        assert again.decide(event("3", NOW_NS + MINUTE_NS))["late"] is False
        with pytest.raises(UnusableEvent, match="too late"):
            again.decide(event("4", NOW_NS))


@pytest.mark.long
def test_a_journal_with_events_that_were_ahead_is_recovered_bit_for_bit(tmp_path: Path) -> None:
    app = app_file(tmp_path, lateness="2s", ahead_max="1d")
    rng = np.random.default_rng(3)
    engine = opened(app, tmp_path / "data")
    clock = engine.parts.clock
    assert isinstance(clock, ScriptedClock)
    for k in range(150):
        clock.advance(int(rng.integers(0, 20 * 10**9)))
        ahead = rng.choice([0, 0, 0, 500_000_000, 3 * MINUTE_NS, 20 * HOUR_NS]) - rng.integers(0, 4 * 10**9)
        engine.decide([event(f"{k}.{j}", clock.now_ns() + int(ahead) + j, f"u{rng.integers(4)}") for j in range(2)])
    state = {name: np.array(value) for name, value in engine.parts.loop.state().items()}
    killed(engine)
    again = load(app, data=tmp_path / "data")
    found = again.parts.loop.state()
    assert set(found) == set(state)
    for name, value in state.items():
        assert np.asarray(found[name]).tobytes() == value.tobytes(), name
    again.close()


def test_a_refusal_says_how_far_ahead_the_event_is_and_so_do_the_metrics(tmp_path: Path) -> None:
    with opened(app_file(tmp_path)) as engine:
        registry = engine_registry(engine)

        def ahead() -> float | None:
            return registry.get_sample_value("homeostat_event_ahead_seconds", {"app": "starter"})

        engine.decide(event("1", NOW_NS))
        assert ahead() == 0
        engine.decide(event("2", NOW_NS + 90 * 10**9))
        assert ahead() == 90
        with pytest.raises(UnusableEvent, match="too early: it is 22 h ahead of the clock"):
            engine.decide(event("3", NOW_NS + 22 * HOUR_NS))
        assert ahead() == 22 * 3600
        assert engine.decide(event("4", NOW_NS))["late"] is False


@pytest.mark.parametrize("declared", ["5m", "10s", "1d", "0s"])
@pytest.mark.parametrize("of_day_s", [0, 3, 3601, 45_678, 86_399])
def test_the_published_bound_is_the_one_that_holds(declared: str, of_day_s: int) -> None:
    app = load_app("access")
    app = app.model_copy(update={"events": app.events.model_copy(update={"ahead_max": duration_ns(declared)})})
    now_ns = (NOW_NS // DAY_NS * 86_400 + of_day_s) * 10**9 + 321_000_000
    schema = prepare(app).schema
    until_ns = stepped(now_ns, schema.ahead_max_ns) + schema.ahead_max_ns
    text, number = document(app, now_ns)["components"]["schemas"]["Event"]["properties"]["timestamp"]["anyOf"]
    assert number["maximum"] == until_ns // 10**9

    def accepted(time: object) -> bool:
        given = {"event_id": "1", "entity_id": "1", "event_type": "a", "timestamp": time}
        return len(read_objects([given], schema, stepped(now_ns, schema.ahead_max_ns))[0]) == 1

    assert accepted(number["maximum"]) and not accepted(number["maximum"] + 1)
    fits, zones = re.compile(text["pattern"]), ("", "Z", "+01:00", "+1400", "-05:00", "-23:59")
    for second in (-90_000, -86_400, -3600, -61, -1, 0, 1, 59, 60, 3600, 86_400):
        at = datetime.fromtimestamp(until_ns // 10**9 + second, UTC)
        for zone in zones:
            stamp = f"{at:%Y-%m-%dT%H:%M:%S}{zone}"
            assert accepted(stamp) or not fits.fullmatch(stamp), stamp
    assert fits.fullmatch(f"{datetime.fromtimestamp(until_ns // 10**9 - 60, UTC):%Y-%m-%dT%H:%M:%SZ}")
    assert fits.fullmatch(f"{datetime.fromtimestamp(until_ns // 10**9, UTC):%Y-%m-%d}")
