"""The size of batches follows the load within its bounds, is on the record, and changes no decision."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.job_programs import until
from tests.worker.worlds import UNHURRIED, FakeServers, access_events

from homeostat import load
from homeostat.adapters.postgres.statements import PostgresStatements
from homeostat.adapters.process.clock import SystemClock
from homeostat.cli import main
from homeostat.config.faults import AppFileError
from homeostat.config.servers import Servers, read_servers
from homeostat.engine import sizing
from homeostat.engine.metrics import engine_registry
from homeostat.engine.size_record import SizeRecord
from homeostat.engine.sizing import LOOK_NS, SERVED_SLOW_NS, SLOW_NS, Choice, Sizer, Sizing, served_sizer
from homeostat.engine.turns import Turns
from homeostat.records.statements import StatementKind
from homeostat.serve.options import ServerOptions, sizes_of

FAST_NS = 1_000_000


def seen(one: Sizing, rows: int, took_ns: int = FAST_NS, waiting: int = 0, batches: int = 10) -> Choice | None:
    """The choice after ten seconds of such batches."""
    found = [one.seen(rows, took_ns, waiting, one._since_ns + LOOK_NS * (k + 1) // batches) for k in range(batches - 1)]
    assert not any(found)
    return one.seen(rows, took_ns, waiting, one._since_ns + LOOK_NS)


def test_full_batches_that_leave_events_waiting_are_doubled_and_unused_ones_halved() -> None:
    one = Sizing(100, 1000, 0)
    assert one.rows == 1000
    quiet = seen(one, 30)
    assert (
        quiet is not None and (quiet.before, quiet.after) == (1000, 500) and "largest of 10 batches had 30" in quiet.why
    )
    assert seen(one, 30) is not None and one.rows == 250
    assert seen(one, 200) is None and one.rows == 250  # Neither full nor unused.
    assert seen(one, 250) is None  # Full, but nothing waits.
    busy = seen(one, 250, waiting=900)
    assert busy is not None and busy.after == 500 and "left events waiting 10 times" in busy.why
    assert seen(one, 500, waiting=900) is not None and one.rows == 1000
    assert seen(one, 1000, waiting=900) is None and one.rows == 1000


def test_batches_that_take_long_are_halved_also_where_events_wait() -> None:
    one = Sizing(100, 1000, 0)
    slow = seen(one, 1000, SLOW_NS, waiting=900)
    assert slow is not None and slow.after == 500 and "250 ms each" in slow.why
    assert seen(one, 500, SLOW_NS // 2, waiting=900) is None  # Twice as many would take too long again.


def test_without_a_lower_bound_nothing_is_chosen() -> None:
    one = Sizing(1000, 1000, 0)
    assert seen(one, 1) is None and one.rows == 1000


@given(
    st.tuples(st.integers(1, 5000), st.integers(1, 5000)).map(sorted),
    st.lists(st.tuples(st.integers(1, 6000), st.integers(0, 2 * SLOW_NS), st.integers(0, 9)), max_size=60),
)
def test_the_size_stays_within_its_bounds_and_each_change_is_a_choice(bounds, batches) -> None:
    one = Sizing(*bounds, 0)
    for k, (rows, took_ns, waiting) in enumerate(batches):
        before = one.rows
        choice = one.seen(rows, took_ns, waiting, k * LOOK_NS // 3)
        assert bounds[0] <= one.rows <= bounds[1]
        assert (choice is None) == (one.rows == before) and (
            choice is None or choice.after == one.rows != choice.before
        )


def test_decisions_are_the_same_with_sizes_that_change_all_the_time(tmp_path, monkeypatch) -> None:
    decided, chosen = {}, list[Choice]()
    for name, low in (("fixed", None), ("sized", 1)):
        monkeypatch.setattr(sizing, "LOOK_NS", 0)
        world = FakeServers(tmp_path / name, app=UNHURRIED, batch_rows_min=low)
        with world.running() as (worker,):
            worker.sizer.on_choice = chosen.append
            sent = 0
            for count in (5, 5, 5, 5, 200, 5, 5, 170):
                world.send(access_events(count, start=sent))
                sent += count
                until(lambda world=world, sent=sent: len(world.decisions) == sent, 120)
        decided[name] = {one["event_id"]: {**one, "took_us": 0} for one in world.decisions}
        assert bool(chosen) == (low is not None)
    assert len(decided["fixed"]) == 400
    assert decided["fixed"] == decided["sized"]


def test_a_lower_bound_above_the_upper_one_is_refused() -> None:
    with pytest.raises(AppFileError, match="at most batch_rows, which is 1,000"):
        read_servers(None, {"HOMEOSTAT_SERVERS__BATCH_ROWS_MIN": "2000"})


def test_choices_are_statements_that_a_command_lists(database: str, tmp_path, capsys) -> None:
    record = SizeRecord(partial(PostgresStatements, database, app="pay"), "host-1", pytest.fail)
    record.put(Choice(1000, 500, "the largest of 9 batches had 3 events"))
    with closing(PostgresStatements(database)) as store:
        until(lambda: len(store.list(StatementKind.SIZE)) == 1)
    record.close()
    config = tmp_path / "servers.yaml"
    config.write_text(json.dumps({"servers": {"journal": database}}))
    with pytest.raises(SystemExit):
        main(["settings", "sizes", "--config", str(config), "--json"])
    (found,) = json.loads(capsys.readouterr().out)["sizes"]
    assert (found["process"], found["size"], found["value"], found["actor"]) == (
        "host-1",
        "batch_rows",
        500,
        "homeostat",
    )
    assert found["text"] == "1,000 to 500 rows: the largest of 9 batches had 3 events"


def test_a_server_that_is_away_holds_nothing_up() -> None:
    record = SizeRecord(partial(PostgresStatements, "postgresql://nobody@127.0.0.1:1/none"), "host-1", pytest.fail)
    for _ in range(300):  # More than may wait.
        record.put(Choice(1000, 500, "a test"))
    record.close()


class Counted:
    """A clock on which each batch takes as long as `took_ns` says."""

    def __init__(self) -> None:
        self.took_ns, self._now_ns = FAST_NS, 0

    def monotonic_ns(self) -> int:
        self._now_ns += self.took_ns
        return self._now_ns

    def now_ns(self) -> int:
        return self._now_ns


def gathered(sizer: Sizer, *requests: int, inline_rows: int = 0) -> list[int]:
    """The batches that requests of so many events make, which all come at once."""
    batches = list[int]()

    def work(objects):
        batches.append(len(objects))
        return list(objects)

    async def run() -> None:
        with ThreadPoolExecutor(1) as thread:
            turns = Turns(thread, inline_rows=inline_rows, sizer=sizer)
            await asyncio.gather(*(turns.submit(work, list(range(rows))) for rows in requests))

    asyncio.run(run())
    return batches


@pytest.mark.parametrize("inline_rows", [0, 1000])
def test_requests_that_wait_are_gathered_up_to_a_bound_that_follows_the_load(monkeypatch, inline_rows) -> None:
    monkeypatch.setattr(sizing, "LOOK_NS", 10 * FAST_NS)
    said, chosen = list[str](), list[Choice]()
    sizer = Sizer(2, 16, Counted(), said.append, SERVED_SLOW_NS)
    sizer.on_choice = chosen.append
    for rows in (8, 4, 2, 2):  # Single events, one after the other.
        for _ in range(5):
            assert gathered(sizer, 1, inline_rows=inline_rows) == [1]
        assert sizer.rows == rows
    assert gathered(sizer, *[1] * 64, inline_rows=inline_rows)[:5] == [2] * 5
    for _ in range(9):
        gathered(sizer, *[1] * 64, inline_rows=inline_rows)
    assert sizer.rows == 16 and gathered(sizer, *[1] * 64, inline_rows=inline_rows) == [16] * 4
    assert [choice.after for choice in chosen] == [8, 4, 2, 4, 8, 16]
    assert said[0].startswith("batches have 8 rows at most, not 16: the largest of ")


def test_what_was_not_gathered_says_nothing_about_the_bound(monkeypatch) -> None:
    monkeypatch.setattr(sizing, "LOOK_NS", 0)
    clock = Counted()
    clock.took_ns = 2 * SERVED_SLOW_NS
    sizer = Sizer(2, 16, clock, pytest.fail, SERVED_SLOW_NS)
    assert gathered(sizer, 17, 500) == [17, 500]

    async def others() -> None:
        with ThreadPoolExecutor(1) as thread:
            turns = Turns(thread, sizer=sizer)
            await turns.submit_in_slices(list, list(range(64)), 16)
            await turns.call(lambda: None)

    asyncio.run(others())
    assert sizer.rows == 16


def test_a_batch_that_clients_wait_for_is_slow_sooner_than_a_worker_s(monkeypatch) -> None:
    monkeypatch.setattr(sizing, "LOOK_NS", 0)
    for slow_ns, rows in ((SERVED_SLOW_NS, 8), (SLOW_NS, 16)):
        clock = Counted()
        clock.took_ns = SERVED_SLOW_NS
        sizer = Sizer(2, 16, clock, lambda text: None, slow_ns)
        gathered(sizer, *[1] * 16)
        assert sizer.rows == rows


def test_a_server_shows_its_bound_and_puts_choices_on_the_record_of_its_folder(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "data"
    with load("access", data=folder) as engine:
        engine.parts.sizer = sizer = served_sizer(Servers(batch_rows=80, batch_rows_min=20), SystemClock())
        registry = engine_registry(engine)
        assert registry.get_sample_value("homeostat_batch_rows_bound", {"app": "access"}) == 80
        record = sizes_of(engine, ServerOptions(keys_folder=str(folder)))
        assert record is not None and sizes_of(engine, ServerOptions()) is None
        with closing(record):
            sizer.on_choice(Choice(80, 40, "a test"))
        engine.audit()
    for command in (["settings", "sizes", "--data", str(folder), "--json"], ["audit", "verify", str(folder), "--json"]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert not ended.value.code
        shown = json.loads(capsys.readouterr().out)
        if "sizes" in shown:
            (found,) = shown["sizes"]
            assert (found["size"], found["value"], found["text"]) == ("batch_rows", 40, "80 to 40 rows: a test")
            assert found["process"] and found["actor"] == "homeostat"
