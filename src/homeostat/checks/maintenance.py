"""The contract of every store that keeps the maintenance loop's lease and memory, whatever it is built on.

A plug-in's author calls each function with a way to open the store on one and the same, empty place::

    @pytest.mark.parametrize("check", MAINTENANCE_CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check, tmp_path):
        check(lambda: MyStore(tmp_path))

Each function asserts; none needs pytest. No check waits for a lease to end: it takes one that is over at once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from homeostat.checks.incidents import incident, signal
from homeostat.ports.incidents import IncidentMoved
from homeostat.ports.maintenance import MaintenanceState, MaintenanceStore

Opens = Callable[[], MaintenanceStore]


def an_empty_store_has_no_memory_and_no_owner(opens: Opens) -> None:
    """Nothing was saved, and nobody has had the lease."""
    with closing(opens()) as store:
        assert store.saved() is None and store.lease() is None
        assert not store.save("a", b"memory", [], []) and not store.say("a", MaintenanceState())
        assert store.saved() is None


def one_process_has_the_lease(opens: Opens) -> None:
    """Of several that ask at once, one gets it; after it has left, or its time is over, another does."""
    with closing(opens()) as store, closing(opens()) as other:
        with ThreadPoolExecutor(4) as pool:
            taken = list(pool.map(lambda name: store.take(name), "abcd"))
        assert sum(taken) == 1
        owner = "abcd"[taken.index(True)]
        held = other.lease()
        assert held is not None and (held.owner, held.lives) == (owner, True)
        assert store.take(owner) and not other.take("z")
        store.leave("z")
        assert not other.take("z")
        store.leave(owner)
        assert other.take("z") and not store.take(owner)
        assert other.take("z", -1.0) and store.take(owner)
        held = other.lease()
        assert held is not None and held.owner == owner


def a_step_is_stored_whole(opens: Opens) -> None:
    """Memory, signals and incidents come back as they were, and the next memory takes the place of the last."""
    with closing(opens()) as store:
        assert store.take("a")
        memory = bytes(range(256)) * 9000
        assert store.save("a", memory, [signal("a")], [incident()])
        assert store.save("a", memory[1:], [signal("b")], [incident(revision=2), incident("i2")])
    with closing(opens()) as store:
        assert store.saved() == memory[1:]
        assert {one.signal.id for one in store.signals()} == {"a", "b"}
        assert {(one.incident.id, one.incident.revision) for one in store.list()} == {("i1", 2), ("i2", 1)}


def a_step_is_stored_not_at_all_where_a_person_was_faster(opens: Opens) -> None:
    """Where an incident has moved, neither memory nor signals are stored."""
    with closing(opens()) as store:
        assert store.take("a") and store.save("a", b"one", [], [incident()])
        store.write([], [incident().closed("looked at", 9)], "ann")
        found = None
        try:
            store.save("a", b"two", [signal("late")], [incident(revision=2)])
        except IncidentMoved as moved:
            found = moved.found.revision
        assert found == 2, "IncidentMoved was expected"
        assert store.saved() == b"one" and not store.signals()


def a_process_that_lost_the_lease_stores_nothing(opens: Opens) -> None:
    """It may have slept while another one took over."""
    with closing(opens()) as store, closing(opens()) as other:
        assert store.take("a", -1.0) and store.save("a", b"one", [], [])  # Its time is over, and nobody minds.
        assert other.take("b") and other.save("b", b"two", [], [])
        assert not store.save("a", b"three", [signal()], [incident()])
        assert not store.say("a", MaintenanceState(entry=3))
        assert other.saved() == b"two" and not other.signals() and not other.list()


def a_state_comes_back_as_it_was(opens: Opens) -> None:
    """It stays after the process has left."""
    state = MaintenanceState(7, 9, 3, 49, 2, 1, 0.5, 10**18, 2.5, 1, 2, "no \u6f22 at '\"")
    with closing(opens()) as store:
        assert store.take("a") and store.say("a", state)
        store.leave("a")
        held = store.lease()
        assert held is not None and (held.owner, held.lives, held.state) == ("a", False, state)


MAINTENANCE_CHECKS = (
    an_empty_store_has_no_memory_and_no_owner,
    one_process_has_the_lease,
    a_step_is_stored_whole,
    a_step_is_stored_not_at_all_where_a_person_was_faster,
    a_process_that_lost_the_lease_stores_nothing,
    a_state_comes_back_as_it_was,
)
"""Every part of the contract."""
