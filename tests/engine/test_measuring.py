"""Points to decided steps: gathered, kept while they wait, and taken once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.hosts import APP, SECOND_NS, T0_NS, Hands, hosts_file

from homeostat.adapters.influx.line_protocol import LineProtocol
from homeostat.config.load import parse_app
from homeostat.config.plans import event_schema
from homeostat.engine.assembly import open_engine
from homeostat.engine.measuring import Item, Measuring, measuring_of
from homeostat.ports import Unavailable
from homeostat.records.events import DeadLetter
from homeostat.records.identity import Coding

HOSTS = parse_app(APP)


class Decided:
    """Takes note of what it is asked to decide; fails while it is away."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.letters: list[DeadLetter] = []
        self.away = False

    def answer(self, objects: Sequence[object]) -> list[object]:
        if self.away:
            raise Unavailable("the journal is away")
        self.events += objects
        return [{}] * len(objects)

    def bury(self, letters: list[DeadLetter]) -> None:
        self.letters += letters


def items(text: str) -> list[Item]:
    parsed = LineProtocol().parse(text.encode(), "s")
    return [*parsed.points, *parsed.bad]


def measuring(engine: Decided, clock: Hands, data: Path | None = None) -> Measuring:
    made = measuring_of(engine, HOSTS, event_schema(HOSTS, Coding.of_seed(0)), clock, data)
    assert made is not None
    return made


def line(text: str, second: int) -> str:
    return f"{text} {T0_NS // SECOND_NS + second}\n"


CPU, MEMORY = "cpu,cpu=cpu-total,host=a usage_idle=90", "mem,host=a used_percent=40i"
EVENT = {"id": f"hosts,host=a@{T0_NS}", "time": T0_NS // SECOND_NS, "host": "a", "idle": 90.0, "used": 40.0}


def lines_of(measured: Measuring) -> dict[str, float]:
    found = measured.readings()["homeostat_metric_lines_total"]
    assert isinstance(found, dict)
    return found


def test_lines_of_a_step_become_one_event_when_a_later_line_comes() -> None:
    engine, clock = Decided(), Hands()
    measured = measuring(engine, clock)
    assert measured.take(items(line(CPU, 0) + line(MEMORY, 3))) == ["", ""]
    assert engine.events == []
    clock.forward(16)
    measured.take(items(line(CPU, 16)))
    assert engine.events == [EVENT]
    assert measured.readings()["homeostat_metric_steps_total"] == 1


def test_a_step_of_a_quiet_entity_is_over_when_the_clock_says_so() -> None:
    engine, clock = Decided(), Hands()
    measured = measuring(engine, clock)
    measured.take(items(line(CPU, 0) + line(MEMORY, 0)))
    for seconds in (4, 10):
        clock.forward(seconds)
        measured.tick()
        assert engine.events == []
    clock.forward(1)
    measured.tick()
    assert engine.events == [EVENT] and not measured.waits


def test_lines_that_are_repeated_are_counted_once_and_late_ones_are_left_out() -> None:
    engine, clock = Decided(), Hands()
    measured = measuring(engine, clock)
    text = line(CPU, 0) + line(MEMORY, 0)
    measured.take(items(text + text))
    clock.forward(20)
    measured.tick()
    measured.take(items(text))
    clock.forward(20)
    measured.tick()
    assert engine.events == [EVENT]
    assert lines_of(measured) == {"used": 4, "unused": 0, "late": 2, "bad": 0}


def test_lines_that_the_app_does_not_use_are_counted_and_cost_nothing() -> None:
    engine, clock = Decided(), Hands()
    measured = measuring(engine, clock)
    text = "cpu,cpu=cpu0,host=a usage_idle=1\ncpu,cpu=cpu-total usage_idle=1\nmem,host=a free=1\ndisk,host=a used=1\n"
    assert measured.take(items(text)) == [""] * 4
    assert lines_of(measured) == {"used": 0, "unused": 4, "late": 0, "bad": 0}
    assert not measured.waits and engine.letters == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('mem,host=a used_percent="much"', "field type conflict"),
        ("cpu,cpu=cpu-total,host=a usage_idle=-1", "out of range"),
        ("up,host=a value=2", "out of range"),
        (f"mem,host={'h' * 257} used_percent=1", "no key of an entity"),
        (line(MEMORY, 3600).strip(), "too early"),
        ("mem,host=a used_percent=1 9223372036", "too early"),
        ("mem,host=a used_percent=1 -9223372036", "out of range"),
        ("mem,host=a", "missing fields"),
    ],
)
def test_what_can_not_be_used_is_named_and_buried_and_its_neighbours_are_kept(text: str, said: str) -> None:
    engine, clock = Decided(), Hands()
    measured = measuring(engine, clock)
    answers = measured.take(items(f"{line(CPU, 0)}{text}\n{line(MEMORY, 0)}"))
    assert [bool(why) for why in answers].count(True) == 1 and said in "".join(answers)
    assert len(engine.letters) == 1 and said in engine.letters[0].detail
    measured.take(items(line(CPU, 20)))
    assert engine.events == [EVENT]


def test_booleans_are_numbers_where_a_metric_is_one() -> None:
    engine, clock = Decided(), Hands()
    measured = measuring(engine, clock)
    measured.take(items(line("up,host=a value=true", 0) + line("mem,host=a used_percent=true", 0) + line(MEMORY, 20)))
    assert engine.events == [{"id": EVENT["id"], "time": EVENT["time"], "host": "a", "up": 1.0, "used": 1.0}]


def test_a_successor_gathers_what_a_killed_process_had_not_decided(tmp_path: Path) -> None:
    clock, first, second = Hands(), Decided(), Decided()
    killed = measuring(first, clock, tmp_path)
    killed.take(items(line(CPU, 0)))
    killed.take(items(line("mem,host=b used_percent=1", 0)))
    killed.close()  # All that it does is to let go of the lock.
    with closing(measuring(second, clock, tmp_path)) as measured:
        measured.take(items(line(MEMORY, 0)))
        clock.forward(20)
        measured.tick()
        assert sorted(event["host"] for event in second.events) == ["a", "b"]  # type: ignore[index]
        assert EVENT in second.events
    with closing(measuring(Decided(), clock, tmp_path)) as measured:
        assert not measured.waits


def test_steps_wait_while_the_journal_is_away_and_hold_up_what_comes_then(tmp_path: Path) -> None:
    engine, clock = Decided(), Hands()
    with closing(measuring(engine, clock, tmp_path)) as measured:
        measured.take(items(line(CPU, 0) + line(MEMORY, 0)))
        clock.forward(20)
        engine.away = True
        with pytest.raises(Unavailable):
            measured.tick()
        with pytest.raises(Unavailable):
            measured.take(items(line(CPU, 20)))
        engine.away = False
        measured.take(items(line(CPU, 20)))
        assert engine.events == [EVENT]


def test_a_full_spool_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeostat.engine.measuring._SPOOL_BYTES_MAX", 200)
    engine, clock = Decided(), Hands()
    with closing(measuring(engine, clock, tmp_path)) as measured:
        measured.take(items(line(CPU, 0)))
        with pytest.raises(Unavailable, match="no more metrics are taken"):
            measured.take(items("".join(line(CPU, second) for second in range(10))))
        assert lines_of(measured)["used"] == 1


def test_an_engine_decides_each_step_once_over_a_restart(tmp_path: Path) -> None:
    data, app = tmp_path / "data", hosts_file(tmp_path)
    text = line(CPU, 0) + line(MEMORY, 0) + line(CPU, 20)
    for attempt in range(2):
        with open_engine(app, data=data) as engine:
            assert engine.parts.measuring is not None
            engine.parts.measuring.take(items(text))
            found = engine.decision(str(EVENT["id"]), features=True)
            assert found is not None and found["features"]["idle"]["value"] == 90.0, attempt
            assert engine.parts.loop.counts["events"] == 1 - attempt
