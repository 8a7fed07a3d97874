"""The contract of every feature store, whatever it is built on.

A plug-in's author calls each function with a way to open the adapter on one and the same place, empty at first, as
several workers do::

    @pytest.mark.parametrize("check", FEATURE_STORE_CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check, server):
        check(lambda: MyFeatures(server.url))

Each function asserts; none needs pytest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from homeostat.ports.shared import Asked, FeatureStore, LogsLost, Shown
from homeostat.records.arrays import Int
from homeostat.records.identity import Ids

_EVENT, _OUTCOME = 0, 2
_DAY_NS = 86_400_000_000_000
WORDS = 4


class OpenFeatureStore(FeatureStore, Protocol):
    """A feature store that can be closed."""

    def close(self) -> None: ...


OpensStore = Callable[[], OpenFeatureStore]
Row = tuple[int, int, int, int]


def event(time_ns: int, tag: int, more: int = 0) -> Row:
    """A row of an event."""
    return time_ns, tag, _EVENT, more


def outcome(time_ns: int, tag: int, label: int) -> Row:
    """A row of an outcome."""
    return time_ns, tag, _OUTCOME, label


def asked(
    given: Mapping[str, Sequence[Row]], known: Mapping[str, int] | None = None, *, read: bool = True,
    entity: str = "customer", retained_ns: int = _DAY_NS,
) -> Asked:  # fmt: skip
    """New rows by entity, and how much is known of each."""
    rows = [row for of_one in given.values() for row in of_one]
    oldest = [min((row[0] for row in of_one if row[2] == _EVENT), default=-(2**63)) for of_one in given.values()]
    return Asked(
        entity, list(given), np.array([(known or {}).get(one, 0) for one in given], np.int64),
        np.array(oldest, np.int64), np.array(rows, np.int64).reshape(-1, WORDS),
        np.cumsum([len(of_one) for of_one in given.values()]).astype(np.int64), retained_ns, read,
    )  # fmt: skip


def read_all(store: FeatureStore, one: str, entity: str = "customer") -> list[Row]:
    """All rows that an entity's log still holds, as one who knows nothing reads them."""
    (found,) = store.exchange([asked({one: []}, entity=entity)])
    return rows_of(found.unread.get(0, b""))


def rows_of(data: bytes) -> list[Row]:
    """Rows from their bytes."""
    read: Int = np.frombuffer(data, np.int64).reshape(-1, WORDS)
    return [(int(row[0]), int(row[1]), int(row[2]), int(row[3])) for row in read]


def what_others_wrote_is_read_in_order(open_store: OpensStore) -> None:
    """Each log in the order of writing, once; nothing comes back where nobody else has written."""
    mine, yours = open_store(), open_store()
    (first,) = mine.exchange([asked({"a": [event(1, 1), event(2, 2)], "b": [event(1, 3, -5)]})])
    assert first.unread == {}
    known = {"a": int(first.start[0]) + 2, "b": int(first.start[1]) + 1}
    (second,) = mine.exchange([asked({"a": [event(3, 4)], "b": []}, known)])
    assert second.start.tolist() == list(known.values()) and second.unread == {}
    (third,) = yours.exchange([asked({"b": [], "a": [event(4, 5)], "c": []})])
    assert rows_of(third.unread[0]) == [event(1, 3, -5)]
    assert rows_of(third.unread[1]) == [event(1, 1), event(2, 2), event(3, 4), event(4, 5)]
    assert set(third.unread) == {0, 1} and int(third.start[1]) == known["a"] - 2
    (fourth,) = mine.exchange([asked({"a": [event(2, 6)]}, {"a": known["a"] + 1})])
    assert int(fourth.start[0]) == known["a"] + 1
    assert rows_of(fourth.unread[0]) == [event(4, 5), event(2, 6)]
    for store in (mine, yours):
        store.close()


def entities_of_several_kinds_are_distinguished(open_store: OpensStore) -> None:
    """Of one name, in one exchange; and any text is a name."""
    store = open_store()
    names = ["1", "-5", "#4f", "größer", "a}b{c", "with space", "", "x" * 300]
    kinds = ("customer", "terminal")
    store.exchange([
        asked({name: [event(1, k, number)] for k, name in enumerate(names)}, entity=kind)
        for number, kind in enumerate(kinds)
    ])  # fmt: skip
    for number, kind in enumerate(kinds):
        for k, name in enumerate(names):
            assert read_all(store, name, kind) == [event(1, k, number)]
    store.close()


def an_event_is_in_a_log_once(open_store: OpensStore) -> None:
    """A worker that has not read a log can't write again what it holds; one that gives it again learns its place."""
    store = open_store()
    rows = [event(1, 1), event(2, 2), event(3, 3)]
    store.exchange([asked({"a": rows})])
    (again,) = store.exchange([asked({"a": [*rows[1:], event(3, 4)]})])
    assert rows_of(again.unread[0]) == [*rows, event(3, 4)]
    store.exchange([asked({"a": rows}, read=False)])
    assert read_all(store, "a") == [*rows, event(3, 4)]
    store.close()


def an_outcome_is_not_written_twice_by_who_does_not_read(open_store: OpensStore) -> None:
    """Unless it lies before its event, where it has no effect; a correction stays the last."""
    store = open_store()
    store.exchange([asked({"a": [outcome(1, 1, 1)]})])
    store.exchange([asked({"a": [event(1, 1), outcome(1, 1, 1)]}, read=False)])
    expected = [outcome(1, 1, 1), event(1, 1), outcome(1, 1, 1)]
    assert read_all(store, "a") == expected
    store.exchange([asked({"a": [outcome(1, 1, 0)]})])
    store.exchange([asked({"a": [event(1, 1), outcome(1, 1, 1)]}, read=False)])
    assert read_all(store, "a") == [*expected, outcome(1, 1, 0)]
    store.exchange([asked({"a": [outcome(1, 1, 1)]})])
    assert read_all(store, "a") == [*expected, outcome(1, 1, 0), outcome(1, 1, 1)]
    store.close()


def old_rows_are_dropped_and_young_ones_never(open_store: OpensStore) -> None:
    """A log stays bounded; numbers go on; what windows may look at is there."""
    store, retained = open_store(), 100
    known, written = 0, 0
    for first in range(0, 4000, 40):
        rows = [event(first + k, first + k) for k in range(40)]
        (found,) = store.exchange([asked({"a": rows}, {"a": known}, retained_ns=retained)])
        start = int(found.start[0])
        assert known in (0, start)
        known, written = start + 40, written + 40
    held = [row[0] for row in read_all(store, "a")]
    assert held == list(range(4000 - len(held), 4000))
    assert 40 + retained <= len(held) <= 40 + 4 * (retained + 1024)
    (late,) = store.exchange([asked({"a": []}, {"a": known - 3900})])
    assert int(late.start[0]) >= known - 3900 and rows_of(late.unread[0])[-1] == event(3999, 3999)
    store.close()


def a_log_that_is_shorter_than_it_was_is_lost(open_store: OpensStore) -> None:
    """A caller that knows more rows than the log has gets an error."""
    store = open_store()
    (found,) = store.exchange([asked({"a": [event(1, 1)]})])
    for one, known in (("a", int(found.start[0]) + 2), ("never", 1)):
        try:
            store.exchange([asked({one: [event(2, 2)]}, {one: known})])
        except LogsLost:
            continue
        raise AssertionError("a log that was lost went unnoticed")
    store.close()


def how_far_the_logs_are_whole_is_kept(open_store: OpensStore) -> None:
    """None before they were begun; never less than was given; other workers learn of a new beginning."""
    mine, yours = open_store(), open_store()
    assert mine.through() is None
    mine.begin(5)
    assert yours.through() == mine.through() == 5
    mine.exchange([asked({"a": [event(1, 1)]})], 9)
    yours.exchange([asked({"a": []})], 7)
    assert yours.through() == 9
    mine.begin(3)
    for _ in range(2):
        try:
            yours.exchange([asked({"a": []})])
        except LogsLost:
            continue
        raise AssertionError("a worker did not learn that the logs were begun again")
    assert yours.through() == 3
    yours.exchange([asked({"a": [event(2, 2)]})], 4)
    mine.exchange([asked({"a": []})])
    assert mine.through() == 4
    for store in (mine, yours):
        store.close()


def one_alone_rebuilds(open_store: OpensStore) -> None:
    """Until it is done."""
    mine, yours = open_store(), open_store()
    with mine.alone(60) as first, yours.alone(60) as second:
        assert first and not second
    with yours.alone(60) as third:
        assert third
    for store in (mine, yours):
        store.close()


def who_lacks_rows_is_awaited(open_store: OpensStore) -> None:
    """By all others, until it has them all or ends; the others find out within seconds, as they exchange."""
    mine, yours = open_store(), open_store()
    mine.begin(1)
    for store in (mine, yours):
        assert store.through() == 1
        store.exchange([], 1)
    for store, other in ((mine, yours), (yours, mine)):
        store.lacks()
        _until(_hears_of_one(other), other)
        store.whole()
        _until(lambda: not mine.awaited and not yours.awaited, store, other)
    yours.lacks()
    _until(lambda: mine.awaited == 1, mine)
    yours.close()
    _until(lambda: mine.awaited == 0, mine)
    mine.close()


def who_comes_back_awaits_those_that_were_there(open_store: OpensStore) -> None:
    """They may lack rows too, and not know of it yet."""
    mine, yours = open_store(), open_store()
    mine.begin(1)
    for store in (mine, yours):
        assert store.through() == 1
    for store in (yours, mine):
        store.exchange([], 1)
    mine.lacks()
    mine.whole()
    mine.exchange([], 1)
    assert mine.awaited == 1
    _until(lambda: mine.awaited == 0, yours, mine)
    assert yours.awaited == 0
    for store in (mine, yours):
        store.close()


def _hears_of_one(store: FeatureStore) -> Callable[[], bool]:
    return lambda: store.awaited == 1


def _until(holds: Callable[[], bool], *stores: FeatureStore) -> None:
    """Let stores exchange nothing until something holds."""
    for _ in range(1000):
        for store in stores:
            store.exchange([], 1)
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("the others did not find out")


def nothing_asked_is_nothing_answered(open_store: OpensStore) -> None:
    """No entities, or none with rows."""
    store = open_store()
    assert store.exchange([]) == []
    (found,) = store.exchange([asked({"a": []})])
    assert found.start.tolist() == [0] and found.unread == {}
    store.exchange([asked({"a": [event(1, 1)]})])
    store.show([shown(["1"], [1], [2.0])])
    store.flush()
    store.flush()
    store.close()


def two_writers_at_once_lose_nothing(open_store: OpensStore) -> None:
    """Each reads what the other wrote, all of it, once, in one order."""
    rounds, names = 40, [str(k) for k in range(5)]
    seen: list[dict[str, list[Row]]] = [{name: [] for name in names} for _ in range(2)]
    failures: list[Exception] = []

    def write(worker: int) -> None:
        store = open_store()
        known: dict[str, int] = {}
        try:
            for number in range(rounds):
                given = {name: [event(number, 2 * number + worker)] for name in names}
                (found,) = store.exchange([asked(given, known)])
                for g, name in enumerate(names):
                    read = rows_of(found.unread[g]) if g in found.unread else given[name]
                    seen[worker][name] += read
                    known[name] = int(found.start[g]) + len(read)
            store.close()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    store = open_store()
    for name in names:
        whole = read_all(store, name)
        assert sorted(row[1] for row in whole) == list(range(2 * rounds))
        assert all(whole[: len(of[name])] == of[name] for of in seen)
    store.close()


def shown(codes: Sequence[str], rows: Sequence[int], values: Sequence[float], entity: str = "customer") -> Shown:
    """One value of each of some entities."""
    n = len(codes)
    return Shown(
        entity, Ids.of([(int(code), 0) for code in codes]), {}, np.array(rows, np.int64), ("amount",),
        np.array([0]), np.arange(n), np.array(values, np.float64).reshape(n, 1), np.zeros((n, 1), np.uint8),
        np.full(n, 1_500_000_000 * 10**9, np.int64),
    )  # fmt: skip


FEATURE_STORE_CHECKS: tuple[Callable[[OpensStore], None], ...] = (
    what_others_wrote_is_read_in_order,
    entities_of_several_kinds_are_distinguished,
    an_event_is_in_a_log_once,
    an_outcome_is_not_written_twice_by_who_does_not_read,
    old_rows_are_dropped_and_young_ones_never,
    a_log_that_is_shorter_than_it_was_is_lost,
    how_far_the_logs_are_whole_is_kept,
    one_alone_rebuilds,
    who_lacks_rows_is_awaited,
    who_comes_back_awaits_those_that_were_there,
    nothing_asked_is_nothing_answered,
    two_writers_at_once_lose_nothing,
)
