"""The memory for logs follows the machine's within its bounds, is on the record, and changes no decision."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.test_sizing import Counted
from tests.support.job_programs import until
from tests.worker.worlds import UNHURRIED, FakeServers, access_events

from homeostat.adapters.memory.settings import MemorySettings
from homeostat.adapters.postgres.statements import PostgresStatements
from homeostat.adapters.process.memory import Memory, memory_now
from homeostat.config.faults import AppFileError
from homeostat.config.servers import Servers, read_servers
from homeostat.engine.memory_sizing import LOOK_NS, MemorySizer, memory_sizer
from homeostat.engine.shared.size_health import of_sizes
from homeostat.engine.size_record import SizeRecord
from homeostat.engine.sizing import Choice
from homeostat.ports.settings import Applied
from homeostat.records.statements import StatementKind

MB = 1 << 20


class Machine:
    """A machine whose memory a test sets."""

    def __init__(self, available: int, total: int = 1000) -> None:
        self.total, self.available = total, available

    def __call__(self) -> Memory:
        return Memory(self.total * MB, self.available * MB)


def sizer_on(machine, low: int = 64, high: int = 256) -> tuple[MemorySizer, Counted, list[Choice]]:
    clock, chosen = Counted(), list[Choice]()
    sizer = memory_sizer(Servers(memory_mb_min=low, memory_mb=high), clock, machine, lambda text: None)
    sizer.on_choice = chosen.append
    return sizer, clock, chosen


def test_the_bound_is_doubled_when_it_is_full_while_the_machine_has_memory_left() -> None:
    sizer, _, chosen = sizer_on(Machine(500))
    assert sizer.bound == 64 * MB and sizer.holds(64 * MB) and not chosen
    assert sizer.holds(65 * MB) and sizer.bound == 128 * MB
    assert sizer.holds(200 * MB) and sizer.bound == 256 * MB
    assert not sizer.holds(257 * MB) and (sizer.bound, sizer.forgotten, sizer.remembered) == (256 * MB, 1, 0)
    assert [(one.before, one.after, one.of) for one in chosen] == [(64, 128, "memory_mb"), (128, 256, "memory_mb")]
    assert chosen[0].why == "it was full, and 500 MB of 1,000 MB were available"


def test_a_machine_without_memory_to_spare_lets_the_process_forget_instead() -> None:
    machine = Machine(163)
    sizer, _, chosen = sizer_on(machine)
    assert not sizer.holds(65 * MB) and sizer.bound == 64 * MB and not chosen
    machine.available = 164  # 100 stay after 64 more.
    assert sizer.holds(65 * MB) and sizer.bound == 128 * MB


def test_the_bound_is_halved_while_the_machine_is_short_and_what_is_beyond_is_forgotten() -> None:
    machine = Machine(500)
    sizer, clock, chosen = sizer_on(machine)
    assert sizer.holds(65 * MB) and sizer.holds(129 * MB) and sizer.bound == 256 * MB
    machine.available = 99
    assert sizer.holds(129 * MB) and len(chosen) == 2  # It looks every ten seconds.
    clock.took_ns = LOOK_NS
    assert not sizer.holds(129 * MB) and sizer.bound == 128 * MB
    assert sizer.holds(10 * MB) and sizer.holds(10 * MB) and sizer.bound == 64 * MB
    assert "only 99 MB of 1,000 MB were available, less than 10%" in chosen[-1].why


def test_without_a_lower_bound_or_a_machine_that_says_the_higher_bound_holds() -> None:
    fixed = memory_sizer(Servers(memory_mb=64), Counted(), pytest.fail, pytest.fail)
    assert fixed.holds(64 * MB) and not fixed.holds(65 * MB) and fixed.bound == 64 * MB
    silent, _, chosen = sizer_on(lambda: None)
    assert silent.holds(65 * MB) and silent.holds(250 * MB) and silent.bound == 256 * MB
    assert "does not say" in chosen[0].why


@given(
    st.tuples(st.integers(64, 5000), st.integers(64, 5000)).map(sorted),
    st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 1000), st.integers(0, LOOK_NS)), max_size=60),
)
def test_the_bound_stays_within_its_bounds_and_what_is_held_within_the_bound(bounds, batches) -> None:
    machine = Machine(500)
    sizer, clock, chosen = sizer_on(machine, *bounds)
    for used, machine.available, clock.took_ns in batches:
        before, count = sizer.bound, len(chosen)
        held = sizer.holds(used * MB)
        assert bounds[0] * MB <= sizer.bound <= bounds[1] * MB
        assert held == (used * MB <= sizer.bound)
        assert (len(chosen) > count) == (sizer.bound != before)


def test_a_worker_decides_the_same_with_a_memory_that_is_full_all_the_time(tmp_path: Path) -> None:
    decided = {}
    for name in ("roomy", "full"):
        world = FakeServers(tmp_path / name, app=UNHURRIED)
        with world.running() as (worker,):
            sizer = worker.parts.memory
            assert worker.parts.featurizer.holds == sizer.holds
            if name == "full":
                sizer._low = sizer._high = sizer.bound = 1
            world.send(access_events(200))
            until(lambda world=world: len(world.decisions) == 200, 120)
            assert (sizer.forgotten > 0) == (name == "full")
        decided[name] = {one["event_id"]: {**one, "took_us": 0} for one in world.decisions}
    assert decided["full"] == decided["roomy"]


def test_wrong_bounds_are_refused() -> None:
    with pytest.raises(AppFileError, match="at most memory_mb, which is 4,096"):
        read_servers(None, {"HOMEOSTAT_SERVERS__MEMORY_MB_MIN": "5000"})
    with pytest.raises(AppFileError, match="memory_mb_min"):
        read_servers(None, {"HOMEOSTAT_SERVERS__MEMORY_MB_MIN": "1"})


def test_choices_are_on_the_record_and_doctor_shows_those_of_processes_that_live(database: str) -> None:
    servers = Servers(memory_mb_min=64, memory_mb=256, batch_rows_min=100)
    settings = MemorySettings()
    settings.report(Applied("host-1", 0, 10))
    with closing(SizeRecord(partial(PostgresStatements, database, app="pay"), "host-1", pytest.fail)) as record:
        record.put(Choice(64, 128, "it was full", "memory_mb", "MB"))
        record.put(Choice(128, 256, "it was full", "memory_mb", "MB"))
        with closing(PostgresStatements(database)) as store:
            until(lambda: len(store.list(StatementKind.SIZE)) == 2)
            assert store.list(StatementKind.SIZE)[0].text == "128 to 256 MB: it was full"
            batches, memory = of_sizes(servers, settings, store, 20)
            assert batches.seen == "batches of 100 to 1,000 rows"
            assert memory.seen == "memory for logs of 64 to 256 MB; host-1 chose 256"
            gone = of_sizes(servers, settings, store, 10**15)
            assert "host-1" not in json.dumps([one.seen for one in gone])
            assert not list(of_sizes(Servers(), settings, store, 20))


def test_the_memory_is_the_container_s_where_that_has_less(tmp_path: Path) -> None:
    assert memory_now(tmp_path) is None
    for name, text in (
        ("proc/meminfo", "MemTotal:  8000 kB\nMemFree:  10 kB\nMemAvailable:  3000 kB\n"),
        ("sys/fs/cgroup/memory.max", "max\n"), ("sys/fs/cgroup/memory.current", "1024000\n"),
        ("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 102400\n"),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory_now(tmp_path) == Memory(8000 << 10, 3000 << 10)
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("2048000\n")
    assert memory_now(tmp_path) == Memory(2048000, 2048000 - 1024000 + 102400)
    (tmp_path / "proc/meminfo").write_text("nonsense")
    assert memory_now(tmp_path) is None
    here = memory_now()
    assert here is None or 0 <= here.available <= here.total
