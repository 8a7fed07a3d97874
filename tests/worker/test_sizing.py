"""The size of batches follows the load within its bounds, is on the record, and changes no decision."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.job_programs import until
from tests.worker.worlds import FakeServers, access_events

from homeostat.adapters.postgres.statements import PostgresStatements
from homeostat.cli import main
from homeostat.config.faults import AppFileError
from homeostat.config.servers import read_servers
from homeostat.records.statements import StatementKind
from homeostat.worker import sizing
from homeostat.worker.size_record import SizeRecord
from homeostat.worker.sizing import LOOK_NS, SLOW_NS, Choice, Sizing

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
        quiet is not None and (quiet.before, quiet.rows) == (1000, 500) and "largest of 10 batches had 30" in quiet.why
    )
    assert seen(one, 30) is not None and one.rows == 250
    assert seen(one, 200) is None and one.rows == 250  # Neither full nor unused.
    assert seen(one, 250) is None  # Full, but nothing waits.
    busy = seen(one, 250, waiting=900)
    assert busy is not None and busy.rows == 500 and "left events waiting 10 times" in busy.why
    assert seen(one, 500, waiting=900) is not None and one.rows == 1000
    assert seen(one, 1000, waiting=900) is None and one.rows == 1000


def test_batches_that_take_long_are_halved_also_where_events_wait() -> None:
    one = Sizing(100, 1000, 0)
    slow = seen(one, 1000, SLOW_NS, waiting=900)
    assert slow is not None and slow.rows == 500 and "250 ms each" in slow.why
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
        assert (choice is None) == (one.rows == before) and (choice is None or choice.rows == one.rows != choice.before)


def test_decisions_are_the_same_with_sizes_that_change_all_the_time(tmp_path, monkeypatch) -> None:
    decided, chosen = {}, list[Choice]()
    for name, low in (("fixed", None), ("sized", 1)):
        monkeypatch.setattr(sizing, "LOOK_NS", 0)
        world = FakeServers(tmp_path / name, batch_rows_min=low)
        with world.running() as (worker,):
            worker.on_size = chosen.append
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
    record = SizeRecord(database, "pay", "host-1", pytest.fail)
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
    record = SizeRecord("postgresql://nobody@127.0.0.1:1/none", "pay", "host-1", pytest.fail)
    for _ in range(300):  # More than may wait.
        record.put(Choice(1000, 500, "a test"))
    record.close()
