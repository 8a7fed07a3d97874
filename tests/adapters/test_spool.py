import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.adapters.disk.segments import SegmentQueue
from homeostat.adapters.disk.spool import SpooledJournal
from homeostat.adapters.journals.remembered import Remembered
from homeostat.adapters.memory.journal import Ledger, MemoryJournal
from homeostat.adapters.servers.circuit import Backoff, CircuitState, RetryPolicy
from homeostat.checks.batches import decisions, outcomes, same
from homeostat.checks.journal import JOURNAL_CHECKS, ids_of
from homeostat.checks.shared_journal import SHARED_JOURNAL_CHECKS
from homeostat.ports import Unavailable
from homeostat.ports.shared import Repeated

QUICK = RetryPolicy(1.0, failures=1, backoff=Backoff(0.01, 0.05))


def spooled(ledger, folder, **settings):
    return SpooledJournal(MemoryJournal(ledger), folder, policy=QUICK, **settings)


def ids_at(ledger):
    return [
        entry.body.events.id_code.tolist() for entry in MemoryJournal(ledger).read() if hasattr(entry.body, "events")
    ]


@pytest.mark.parametrize("check", JOURNAL_CHECKS + SHARED_JOURNAL_CHECKS, ids=lambda check: check.__name__)
def test_the_journal_in_memory_conforms(check):
    ledger = Ledger()
    check(lambda: MemoryJournal(ledger))


@pytest.mark.parametrize("check", JOURNAL_CHECKS + SHARED_JOURNAL_CHECKS, ids=lambda check: check.__name__)
def test_a_spooled_journal_conforms(check, tmp_path):
    ledger = Ledger()
    check(lambda: spooled(ledger, tmp_path))


def test_what_waits_is_drained_in_order_and_what_comes_meanwhile_queues_behind(tmp_path):
    ledger = Ledger()
    with spooled(ledger, tmp_path) as journal:
        journal.append(decisions([1], 1))
        ledger.away = "the server is away"
        for k in range(2, 40):
            journal.append(decisions([k], k), [f"t/0@{k}"])
        journal.append(outcomes([1, 2], 5), ["o@1", "o@2"])
        figures = journal.figures
        assert journal.degraded and figures.rows == 40 and figures.nbytes > 0 and figures.reason == "the server is away"
        ledger.away = ""
        for k in range(40, 60):
            journal.append(decisions([k], k))
        assert journal.wait_until_written(20)
        assert journal.figures.state is CircuitState.CLOSED and journal.figures.drained >= 40
    assert ids_at(ledger) == [[k] for k in range(1, 60)]
    assert MemoryJournal(ledger).places(ids_of(39)) == ["t/0@39"]


def test_outcomes_that_waited_drain_without_a_failure(tmp_path):
    ledger = Ledger()
    with spooled(ledger, tmp_path) as journal:
        journal.append(decisions([1, 2], 1), ["a", "b"])
        ledger.away = "away"
        for k in range(3):
            journal.append(outcomes([1, 2], k), [f"{k}a", f"{k}b"])
            journal.append(decisions([10 + k], k), [f"{k}c"])
        ledger.away = ""
        assert journal.wait_until_written(30)
        assert journal.figures.drained == 9
        assert journal.figures.state is CircuitState.CLOSED
        assert journal.figures.reason == ""


def test_while_the_server_is_away_answers_come_from_what_this_process_knows(tmp_path):
    ledger = Ledger()
    MemoryJournal(ledger).append(decisions([100], 9), ["elsewhere"])
    with spooled(ledger, tmp_path) as journal:
        own, waiting = decisions([1, "a"], 1), decisions([2, "b"], 2)
        journal.append(own, ["p1", "p2"])
        assert not journal.degraded
        ledger.away = "the server is away"
        journal.append(waiting, ["p3", "p4"])
        asked = ids_of(1, "a", 2, "b", 100, 5)
        assert journal.seen(asked).tolist() == [True] * 4 + [False, False]
        assert journal.places(asked[:4]) == ["p1", "p2", "p3", "p4"]
        with pytest.raises(Unavailable, match="the server is away"):
            journal.places(asked)
        their = journal.locate(asked)
        known, time_ns, keys = their.found, their.time_ns, their.keys
        assert known.tolist() == [True] * 4 + [False, False]
        assert same(keys[:4], np.concatenate([own.events.keys, waiting.events.keys]))
        assert time_ns[3] == waiting.events.time_ns[1]
        for text, version in (("a", "version-1"), ("b", "version-2")):
            found = journal.find_text(text)
            assert found is not None and found[0].version == version and found[0].events.id_text(found[1]) == text
        with pytest.raises(Unavailable, match="the server is away"):
            journal.find((100, 0))
        assert journal.figures.guessed > 0
        with pytest.raises(Unavailable, match="the server is away"):
            list(journal.read())
        with pytest.raises(Unavailable, match="the server is away"):
            assert journal.last
        with pytest.raises(Repeated) as repeated:
            journal.append(decisions([7, 2], 3))
        assert repeated.value.rows.tolist() == [1]
        journal.append(waiting, ["p3", "p4"])  # The very same again is no error, and waits once.
        assert journal.figures.rows == 2
        ledger.away = ""
        assert journal.wait_until_written(20)
    assert ids_at(ledger) == [[100], own.events.id_code.tolist(), waiting.events.id_code.tolist()]


def test_copies_of_what_other_workers_decided_before_a_recall_are_known_while_the_server_is_away(tmp_path):
    ledger = Ledger()
    theirs = [decisions([100 + k], k) for k in range(40)]
    for k, body in enumerate(theirs):
        MemoryJournal(ledger).append(body, [f"their/0@{k}"])
    with spooled(ledger, tmp_path, remembered_rows=30) as journal:
        journal.append(decisions([1], 1), ["own@1"])
        journal.recall()
        MemoryJournal(ledger).append(decisions([200], 9), ["later@1"])
        ledger.away = "the server is away"
        asked = ids_of(1, 139, 111, 110, 200)
        assert journal.seen(asked).tolist() == [True, True, True, False, False]
        assert journal.places(asked[:3]) == ["own@1", "their/0@39", "their/0@11"]
        (found, row), _ = journal.find_all(asked[1:3])
        assert same(found.events.id_code, theirs[39].events.id_code) and row == 0
        with pytest.raises(Unavailable, match="the server is away"):
            journal.places(asked)
        with pytest.raises(Unavailable, match="the server is away"):
            journal.recall()


def test_events_that_another_worker_decided_meanwhile_are_left_out_and_counted(tmp_path):
    ledger = Ledger()
    with spooled(ledger, tmp_path) as journal:
        ledger.away = "away"
        journal.append(decisions([1, 2, 3], 1), ["p1", "p2", "p3"])
        journal.append(decisions([4, 5], 2), ["p4", "p5"])
        journal.append(decisions([6], 3), ["p6"])
        ledger.away = ""
        MemoryJournal(ledger).append(decisions([2, 4, 5], 9), ["q", "q", "q"])
        assert journal.wait_until_written(20)
        assert (journal.figures.drained, journal.figures.repeated) == (3, 3)
    assert ids_at(ledger) == [[2, 4, 5], [1, 3], [6]]
    assert MemoryJournal(ledger).places(ids_of(1, 2, 3, 6)) == ["p1", "q", "p3", "p6"]


def test_a_full_spool_refuses_and_goes_on_once_there_is_room(tmp_path):
    ledger = Ledger()
    with spooled(ledger, tmp_path, max_bytes=20_000) as journal:
        ledger.away = "away"
        taken = 0
        while taken < 100:
            try:
                journal.append(decisions([taken], taken))
            except Unavailable as error:
                refused = str(error)
                break
            taken += 1
        assert 5 < taken < 100 and "is full" in refused and journal.figures.rows == taken
        ledger.away = ""
        assert journal.wait_until_written(20)
        journal.append(decisions([taken], 1))
    assert ids_at(ledger) == [[k] for k in range(taken + 1)]


def test_what_a_dead_process_left_is_drained_by_the_next_whichever_slot_it_had(tmp_path):
    ledger = Ledger(away="away")
    first, second = spooled(ledger, tmp_path), spooled(ledger, tmp_path)
    first.append(decisions([1], 1), ["p1"])
    second.append(decisions([2], 2), ["p2"])
    second.append(decisions([3], 3))
    first.close(0)
    second.close(0)
    with spooled(ledger, tmp_path) as journal:
        assert journal.figures.rows == 3 and journal.seen(ids_of(1, 2, 3, 4)).tolist() == [True, True, True, False]
        assert journal.figures.oldest_s >= 0
        ledger.away = ""
        assert journal.wait_until_written(20)
    assert ids_at(ledger) == [[1], [2], [3]]
    assert not list(tmp_path.rglob("*.spool"))


def test_an_error_that_is_nobodys_outage_loses_nothing(tmp_path):
    class Odd(MemoryJournal):
        broken = True

        def append(self, body, places=None):
            if self.broken:
                raise ValueError("odd") if threading.current_thread().name == "spool" else Unavailable("odd")
            return super().append(body, places)

    ledger, inner = Ledger(), None
    inner = Odd(ledger)
    with SpooledJournal(inner, tmp_path, policy=QUICK) as journal:
        journal.append(decisions([1], 1))
        assert not journal.wait_until_written(0.2) and journal.figures.rows == 1
        inner.broken = False
        assert journal.wait_until_written(20)
    assert ids_at(ledger) == [[1]]


WRITER = """
import resource, sys
from pathlib import Path
from homeostat.adapters.memory.journal import Ledger, MemoryJournal
from homeostat.adapters.disk.spool import SpooledJournal
from homeostat.checks.batches import decisions
from homeostat.ports import Unavailable
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
journal = SpooledJournal(MemoryJournal(Ledger(away="away")), folder)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
k = 0
while True:
    try:
        journal.append(decisions(list(range(k * 100, k * 100 + 100)), k), [f"t@{k}"] * 100)
    except Unavailable as error:
        print("refused", error, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        journal.append(decisions([-1], 1))
        print("went on", flush=True)
        sys.stdin.readline()
    print(k, flush=True)
    k += 1
"""


def spawn(folder, limit=0):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(limit)],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.long
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path):
    writer = spawn(tmp_path)
    for _ in range(60):
        acknowledged = int(writer.stdout.readline())
    os.kill(writer.pid, signal.SIGKILL)
    rest = writer.stdout.read().split()  # Not communicate(), which forgets what readline() has read ahead.
    writer.communicate()
    acknowledged = int(rest[-1]) if rest else acknowledged
    ledger = Ledger()
    with spooled(ledger, tmp_path) as journal:
        assert journal.wait_until_written(20)
    found = ids_at(ledger)
    assert acknowledged <= len(found) - 1 <= acknowledged + 1
    assert found == [list(range(k * 100, k * 100 + 100)) for k in range(len(found))]


@pytest.mark.long
def test_a_disk_that_takes_no_more_is_a_clear_refusal_and_nothing_is_torn(tmp_path):
    writer = spawn(tmp_path, 100_000)
    lines = []
    for line in writer.stdout:
        lines.append(line)
        if line.startswith("went on"):
            break
    os.kill(writer.pid, signal.SIGKILL)
    writer.communicate()
    assert "can't be written" in lines[-2] and "free some space" in lines[-2]
    ledger = Ledger()
    with spooled(ledger, tmp_path) as journal:
        assert journal.wait_until_written(20)
    found = ids_at(ledger)
    done = int(lines[-3]) + 1
    assert found == [*(list(range(k * 100, k * 100 + 100)) for k in range(done)), [-1]]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["put", "take", "open"]), max_size=40), st.binary(max_size=40), st.integers(0, 60))
def test_the_queue_equals_a_list_whatever_is_cut_off_its_end(tmp_path_factory, steps, noise, cut):
    folder = tmp_path_factory.mktemp("queue")
    queue, twin = SegmentQueue(folder, 1 << 20, file_bytes=300), []
    for k, step in enumerate(steps):
        if step == "put":
            queue.put(b"record %d" % k * (k % 7 + 1), k, k)
            twin.append(b"record %d" % k * (k % 7 + 1))
        elif step == "take" and twin:
            queue.take()
            twin.pop(0)
        elif step == "open":
            queue.close()
            queue = SegmentQueue(folder, 1 << 20, file_bytes=300)
        assert [queue.read(waiting) for waiting in queue.waiting] == twin
    queue.close()
    files = sorted(folder.rglob("*.spool"))
    if files:  # A record that was being written.
        with open(files[-1], "ab") as file:
            file.write((b"\xff\0\0\0" + noise)[:cut])
    queue = SegmentQueue(folder, 1 << 20)
    assert [queue.read(waiting) for waiting in queue.waiting] == twin
    queue.close()


def test_damage_in_the_middle_is_never_taken_for_a_record(tmp_path):
    queue = SegmentQueue(tmp_path, 1 << 20)
    for k in range(3):
        queue.put(b"x" * 100, 1, k)
    second = queue.waiting[1]
    with open(second.path, "r+b") as file:
        file.seek(second.start + 50)
        file.write(b"y")
    assert queue.read(queue.waiting[0]) == b"x" * 100
    with pytest.raises(Unavailable, match="damaged"):
        queue.read(second)
    queue.close()


@pytest.mark.long
def test_what_is_remembered_stays_bounded_and_is_found():
    remembered = Remembered(100)
    for k in range(3000):
        remembered.put(decisions(list(range(k * 50, k * 50 + 50)), k, features=1), None)
    assert len(remembered) == 100 and len(remembered._index) < 70_000
    assert remembered.seen(ids_of(0, 149_899, 149_900, 149_999)).tolist() == [False, False, True, True]
    assert remembered.find((149_950, 0)) is not None and remembered.find((10, 0)) is None
    assert remembered.places(ids_of(5, 149_950)) == [None, ""]


def test_closing_drains_what_can_be_drained_in_a_moment(tmp_path):
    ledger = Ledger(away="away")
    journal = spooled(ledger, tmp_path)
    journal.append(decisions([1], 1))
    ledger.away = ""
    deadline = time.monotonic() + 180
    while journal.degraded and time.monotonic() < deadline:
        journal.wait_until_written(0.05)
    journal.close()
    assert ids_at(ledger) == [[1]]
    journal.close()
