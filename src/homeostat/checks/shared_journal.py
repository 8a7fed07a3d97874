"""The contract of a journal that many processes write at once, beyond that of every journal (`checks.journal`).

Each function is called with a way to open the adapter on one and the same place, which is empty at first::

    @pytest.mark.parametrize("check", SHARED_JOURNAL_CHECKS, ids=lambda check: check.__name__)
    def test_my_journal(check, database):
        check(lambda: MyJournal(database))
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from homeostat.checks.batches import CODING, changes, decisions, of_one_code, outcomes, same
from homeostat.checks.journal import ids_of
from homeostat.ports.shared import Repeated, SharedJournal
from homeostat.records.bodies import ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import OutcomeBatch
from homeostat.records.identity import ABSENT

OpensShared = Callable[[], SharedJournal]


def what_one_appended_the_others_see(open_journal: OpensShared) -> None:
    """Entries, ids and the last number are the same through every instance, as soon as `append` has returned."""
    one, other = open_journal(), open_journal()
    assert one.last == other.last == 0
    first = one.append(decisions([1, "a"], 1), ["t/0@1", "t/0@2"])
    assert other.last == first and other.seen(ids_of(1, "a", 2)).tolist() == [True, True, False]
    second = other.append(decisions(["b"], 2), ["t/1@1"])
    assert second > first and one.last == second
    assert [entry.sequence for entry in one.read()] == [entry.sequence for entry in other.read()] == [first, second]
    found = one.find(ids_of("b").at(0))
    assert found is not None and found[0].events.id_text(found[1]) == "b"
    assert [other.sequence_of(ids_of(one).at(0)) for one in ("a", "b", "z")] == [first, second, None]
    one.close()
    other.close()


def the_newest_decisions_are_the_last_entries_in_order_up_to_so_many(open_journal: OpensShared) -> None:
    """`newest` leaves out outcomes, and an entry that would make it more than was asked for."""
    one, other = open_journal(), open_journal()
    assert one.newest(10) == []
    for k in range(4):
        one.append(decisions([10 * k, 10 * k + 1], k), [f"t/0@{2 * k}", f"t/0@{2 * k + 1}"])
    one.append(outcomes([10], 1), ["o/0@1"])
    codes = [body.events.id_code.tolist() for body in other.newest(5)]
    assert codes == [[20, 21], [30, 31]], codes
    assert len(other.newest(8)) == 4
    assert other.newest(1) == []
    other.recall()
    assert other.seen(ids_of(30, 5)).tolist() == [True, False]
    one.close()
    other.close()


def events_that_another_decided_are_named_and_nothing_is_written(open_journal: OpensShared) -> None:
    """`Repeated` says which rows; the batch without them can then be written."""
    one, other = open_journal(), open_journal()
    one.append(decisions([1, 2, "a"], 1), ["p1", "p2", "p3"])
    last = other.last
    for places in (["q1", "q2", "q3", "q4"], None):
        try:
            other.append(decisions([7, 2, 8, "a"], 2), places)
        except Repeated as repeated:
            assert repeated.rows.tolist() == [1, 3]  # noqa: PT017
        else:
            raise AssertionError("no error named the repeated events")
        assert other.last == last and not other.seen(ids_of(7, 8)).any()
    assert other.append(decisions([7, 8], 3)) > last
    found = one.find((2, 0))
    assert found is not None and found[0].version == "version-1"
    one.close()
    other.close()


def the_same_append_again_is_no_error_and_writes_nothing(open_journal: OpensShared) -> None:
    """A caller that got no answer may append again: the same bytes from the same places count once."""
    one, other = open_journal(), open_journal()
    body, places = decisions([3, 1, "a"], 1), ["p3", "p1", "p2"]
    number = one.append(body, places)
    assert one.append(body, places) == number and other.append(body, places) == number
    try:
        other.append(body, ["p3", "p1", "elsewhere"])
    except Repeated as repeated:
        assert repeated.rows.tolist() == [0, 1, 2]  # noqa: PT017
    else:
        raise AssertionError("the same decisions from other places were taken for a repetition of the append")
    assert [entry.sequence for entry in one.read()] == [number]
    one.close()
    other.close()


def each_change_is_in_it_once(open_journal: OpensShared) -> None:
    """Every process that applies changes appends them: the first counts, whatever else the others append with them."""
    one, other = open_journal(), open_journal()
    first = one.append(changes(1, 2))
    assert other.append(changes(1, 2)) == first == one.append(changes(2))
    made = other.append(replace(decisions([1], 1), settings=2), ["p1"])
    second = other.append(changes(1, 2, 3))
    assert first < made < second
    assert one.append(changes(3)) == second > first
    bodies = [entry.body for entry in one.read()]
    assert [body.settings for body in bodies if isinstance(body, DecisionBatch)] == [2]
    assert [body.changes for body in bodies if isinstance(body, ChangeBatch)] == [
        changes(1, 2).changes, changes(3).changes,
    ]  # fmt: skip
    one.close()
    other.close()


def places_times_and_keys_are_known(open_journal: OpensShared) -> None:
    """`places` and `locate` answer row for row, also for ids that were never decided."""
    one, other = open_journal(), open_journal()
    batch = decisions([5, "a", -7], 1, start_ns=10**18)
    customer, odd = CODING.identify("customer-\U0001f642"), CODING.identify("\0\ud800")
    batch.events.keys[0], batch.events.key_checks[0] = (customer[0], 4), (customer[1], 0)
    batch.events.keys[2], batch.events.key_checks[2] = (ABSENT, odd[0]), (0, odd[1])
    batch.events.texts.update({customer: "customer-\U0001f642", odd: "\0\ud800"})
    one.append(batch, ["t/0@5", "t/0@6", ""])
    one.append(decisions([9], 2))
    asked = ids_of("a", 100, -7, 5, 9)
    assert other.places(asked) == ["t/0@6", None, "", "t/0@5", ""]
    their = other.locate(asked)
    assert their.found.tolist() == [True, False, True, True, True]
    assert their.time_ns[[0, 2, 3]].tolist() == batch.events.time_ns[[1, 2, 0]].tolist()
    assert their.keys[[0, 2, 3]].tolist() == batch.events.keys[[1, 2, 0]].tolist()
    assert their.key_checks[[0, 2, 3]].tolist() == batch.events.key_checks[[1, 2, 0]].tolist()
    assert their.texts == {customer: "customer-\U0001f642", odd: "\0\ud800"}
    assert len(other.locate(ids_of()).found) == len(other.locate(ids_of()).keys) == 0 and other.places(ids_of()) == []
    one.close()
    other.close()


def events_of_one_code_keep_their_own(open_journal: OpensShared) -> None:
    """Where the codes of several ids and of their entities are one, each is located as itself, by every instance."""
    one, other = open_journal(), open_journal()
    batch = of_one_code(1)
    one.append(batch, ["p1", "p2", "p3"])
    ids = batch.events.ids[[2, 0, 1]]
    their = other.locate(ids)
    assert other.places(ids) == ["p3", "p1", "p2"] and their.found.all()
    assert their.key_checks.tolist() == batch.events.key_checks[[2, 0, 1]].tolist()
    assert their.texts == batch.events.texts
    again = replace(batch, events=replace(batch.events, time_ns=batch.events.time_ns + 1))
    try:
        other.append(again, ["q1", "q2", "q3"])
    except Repeated as repeated:
        assert repeated.rows.tolist() == [0, 1, 2]  # noqa: PT017
    else:
        raise AssertionError("events were decided twice")
    one.close()
    other.close()


def an_outcome_from_a_place_counts_once(open_journal: OpensShared) -> None:
    """Redelivered outcomes are left out; those without a place always count."""
    one, other = open_journal(), open_journal()
    one.append(outcomes([1, "a"], 1), ["o/0@1", "o/0@2"])
    numbers = [entry.sequence for entry in one.read()]
    assert other.append(outcomes([1, "a"], 1), ["o/0@1", "o/0@2"]) == numbers[-1]
    assert [entry.sequence for entry in one.read()] == numbers
    other.append(outcomes([1, "a", "b", 4, 4], 2), ["o/0@1", "o/0@2", "o/0@3", "o/0@4", "o/0@4"])
    other.append(outcomes([8], 3))
    other.append(outcomes([8], 3))
    bodies = [entry.body for entry in one.read()]
    ids = [body.ids.tolist() for body in bodies if isinstance(body, OutcomeBatch)]
    assert ids == [ids_of(1, "a").tolist(), ids_of("b", 4).tolist(), [(8, 0)], [(8, 0)]]
    assert not one.seen(ids_of(1, "a", "b", 4, 8)).any()
    one.close()
    other.close()


def outcomes_among_events_are_no_decisions(open_journal: OpensShared) -> None:
    """A row that is an earlier event's label does not make its id a decided one."""
    journal = open_journal()
    batch = decisions([1, 2], 1)
    batch = replace(batch, events=replace(batch.events, kind=np.array([2, 0], np.uint8)))
    journal.append(batch, ["p1", "p2"])
    assert journal.seen(ids_of(1, 2)).tolist() == [False, True]
    journal.append(decisions([1], 2), ["p3"])
    found = journal.find((2, 0))
    assert found is not None and found[1] == 1
    journal.close()


def an_id_that_comes_twice_in_a_batch_counts_where_it_comes_first(open_journal: OpensShared) -> None:
    """The batch is kept as it is; the first row is the decision."""
    journal = open_journal()
    batch = decisions([4, 5, 4], 1)
    journal.append(batch, ["p1", "p2", "p3"])
    found = journal.find((4, 0))
    assert found is not None and found[1] == 0 and journal.places(ids_of(4, 5)) == ["p1", "p2"]
    assert all(same(entry.body, batch) for entry in journal.read())
    journal.close()


def of_two_that_decide_the_same_events_at_once_one_wins(open_journal: OpensShared) -> None:
    """However appends of overlapping batches meet, each id is decided once, and each loser learns it."""
    rounds, width = 12, 40
    won: list[list[int]] = [[], []]
    start = threading.Barrier(2)

    def write(worker: int) -> None:
        journal = open_journal()
        order = np.random.default_rng(worker)
        for k in range(rounds):
            wanted = order.permutation(np.arange(k * width, (k + 1) * width + width // 2)).tolist()
            start.wait()
            while wanted:
                try:
                    journal.append(decisions(wanted, worker), [f"{worker}@{key}" for key in wanted])
                except Repeated as repeated:
                    gone = set(repeated.rows.tolist())
                    assert gone
                    wanted = [key for row, key in enumerate(wanted) if row not in gone]
                else:
                    won[worker] += wanted
                    break
        journal.close()

    _together([lambda: write(0), lambda: write(1)])
    journal = open_journal()
    kept = [entry.body.events.id_code for entry in journal.read() if isinstance(entry.body, DecisionBatch)]
    ids = np.concatenate(kept).tolist()
    assert len(ids) == len(set(ids)) == rounds * width + width // 2
    assert sorted(won[0] + won[1]) == sorted(ids)
    assert journal.places(ids_of(*won[0])) == [f"0@{key}" for key in won[0]]
    journal.close()


def whoever_reads_on_after_the_last_number_misses_nothing(open_journal: OpensShared) -> None:
    """While two write, a reader that goes on where it ended has read everything in the end, once and in order."""
    count = 60
    read: list[int] = []
    numbers: list[int] = []
    done = threading.Event()

    def write(worker: int) -> None:
        journal = open_journal()
        for k in range(count):
            journal.append(decisions([worker * count + k], k), [f"{worker}@{k}"])
        journal.close()

    def follow() -> None:
        journal = open_journal()
        while True:
            finished = done.is_set()
            for entry in journal.read(numbers[-1] if numbers else 0):
                assert isinstance(entry.body, DecisionBatch)
                numbers.append(entry.sequence)
                read.extend(entry.body.events.id_code.tolist())
            if finished:
                break
        journal.close()

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        _together([lambda: write(0), lambda: write(1)])
    finally:
        done.set()
        follower.join()
    assert sorted(read) == list(range(2 * count))
    assert numbers == sorted(set(numbers))


def odd_texts_and_numbers_are_kept(open_journal: OpensShared) -> None:
    """No id, place or number that an event can have makes an append fail, or comes back changed."""
    journal = open_journal()
    odd: list[int | str] = [
        "", "\0", "a\0b", "\ud800", "\udfff\ud800", "'; DROP TABLE decisions", "\\N", "\t\n\r", "x" * 100_000, "🙂",
        "0123", 2**61, -(2**61), "é" * 700,
    ]  # fmt: skip
    batch = decisions(odd, 1)
    batch.events.time_ns[:4] = [-(1 << 63), (1 << 63) - 1, 0, -1]
    batch.fused.risk[:4] = [np.nan, np.inf, -np.inf, 5e-324]
    places = [f"at {key}" for key in odd]
    journal.append(batch, places)
    assert all(same(entry.body, batch) for entry in journal.read())
    assert journal.seen(batch.events.ids).all()
    their = journal.locate(batch.events.ids)
    assert their.found.all() and same(their.time_ns, batch.events.time_ns) and same(their.keys, batch.events.keys)
    assert journal.append(batch, places) == journal.last
    late = outcomes(odd, 1)
    late.known_ns[:2] = [-(1 << 63), (1 << 63) - 1]
    late.label[0], late.amount[:3] = np.nan, [np.nan, np.inf, -np.inf]
    number = journal.append(late, places)
    assert journal.append(late, places) <= number
    journal.append(decisions([], 2), [])
    journal.append(outcomes([], 2), [])
    journal.close()


SHARED_JOURNAL_CHECKS: tuple[Callable[[OpensShared], None], ...] = (
    what_one_appended_the_others_see,
    events_that_another_decided_are_named_and_nothing_is_written,
    the_same_append_again_is_no_error_and_writes_nothing,
    each_change_is_in_it_once,
    places_times_and_keys_are_known,
    events_of_one_code_keep_their_own,
    an_outcome_from_a_place_counts_once,
    outcomes_among_events_are_no_decisions,
    an_id_that_comes_twice_in_a_batch_counts_where_it_comes_first,
    of_two_that_decide_the_same_events_at_once_one_wins,
    whoever_reads_on_after_the_last_number_misses_nothing,
    odd_texts_and_numbers_are_kept,
    the_newest_decisions_are_the_last_entries_in_order_up_to_so_many,
)


def _together(tasks: list[Callable[[], None]]) -> None:
    """Run tasks in threads of their own; what one raises is raised here."""
    raised: list[BaseException] = []

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if raised:
        raise raised[0]
