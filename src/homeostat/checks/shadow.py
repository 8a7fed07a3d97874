"""The contract of every store of challengers' decisions, whatever it is built on.

A plug-in's author calls each function with a way to open the store on one and the same, empty place::

    @pytest.mark.parametrize("check", SHADOW_CHECKS, ids=lambda check: check.__name__)
    def test_my_store(check, tmp_path):
        check(lambda keep_bytes: MyStore(tmp_path, keep_bytes))

Each function asserts; none needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from homeostat.ports.shadow import ShadowState, ShadowStore
from homeostat.records.shadowed import Shadowed

OpensShadow = Callable[[int], ShadowStore]
_PLENTY = 1 << 30


def _made(entry: int, n: int = 3, seed: int = 0) -> Shadowed:
    rng = np.random.default_rng(seed + entry)
    return Shadowed(
        entry, rng.random(n), rng.random((n, 2)), rng.integers(0, 2, n).astype(np.int16),
        rng.integers(-3, 2, n).astype(np.int16), rng.integers(0, 2, n).astype(np.uint8),
        rng.integers(0, 9, n).astype(np.uint8),
    )  # fmt: skip


def _bytes(found: list[Shadowed]) -> list[tuple[int, bytes]]:
    return [(one.entry, one.packed()) for one in found]


def an_empty_store_holds_nothing(open_store: OpensShadow) -> None:
    """No version was ever decided."""
    store = open_store(_PLENTY)
    assert store.last("v") == 0 and list(store.read("v")) == [] and store.at("v", 1) is None
    assert store.versions() == {} and store.held() == {} and store.prune() == 0
    assert not store.say("v", "one", ShadowState()), "nobody has the lease"
    store.drop("v")
    store.leave("v", "one")
    store.close()


def decisions_come_back_as_they_were_appended(open_store: OpensShadow) -> None:
    """By version and entry, in order, also elsewhere and after opening again; more than are read at a time."""
    store, other = open_store(_PLENTY), open_store(_PLENTY)
    made = [_made(entry) for entry in (*range(2, 200, 3), 1 << 40)]
    store.append("v", made[:5])
    store.append("v", made[5:])
    store.append("w'\"; --", [_made(2, 1)])
    store.append("w'\"; --", [])
    store.close()
    for one in (other, open_store(_PLENTY)):
        assert _bytes(list(one.read("v"))) == _bytes(made)
        assert _bytes(list(one.read("v", after=5))) == _bytes(made[2:])
        assert one.last("v") == 1 << 40 and one.versions() == {"v": len(made), "w'\"; --": 1}
        found = one.at("v", 5)
        assert found is not None and found.packed() == made[1].packed() and one.at("v", 6) is None
        one.close()


def decisions_of_the_same_entry_are_replaced(open_store: OpensShadow) -> None:
    """A process that was killed before it knew that they were kept makes them again."""
    store = open_store(_PLENTY)
    store.append("v", [_made(1), _made(2)])
    store.append("v", [_made(2, 4, seed=9), _made(3)])
    assert _bytes(list(store.read("v"))) == _bytes([_made(1), _made(2, 4, seed=9), _made(3)])
    store.close()


def a_version_that_is_dropped_is_gone_and_the_others_stay(open_store: OpensShadow) -> None:
    """With its lease."""
    store = open_store(_PLENTY)
    for version in ("v", "w"):
        store.append(version, [_made(1)])
        assert store.take(version, "one")
    store.drop("v")
    assert store.versions() == {"w": 1} and set(store.held()) == {"w"}
    store.close()


def the_oldest_entries_go_first(open_store: OpensShadow) -> None:
    """Of all versions together, until the rest is within the bound."""
    size = len(_made(1).packed())
    store = open_store(10 * size + size // 2)
    for entry in range(1, 31):
        store.append("v" if entry % 2 else "w", [_made(entry)])
    assert store.prune() == 20 and store.prune() == 0
    assert [one.entry for one in store.read("v")] == [21, 23, 25, 27, 29]
    assert [one.entry for one in store.read("w")] == [22, 24, 26, 28, 30]
    store.close()


def one_process_has_a_lease_until_it_is_over(open_store: OpensShadow) -> None:
    """The next one takes over then; the former one hears of it when it says how it fares."""
    store, other = open_store(_PLENTY), open_store(_PLENTY)
    assert store.take("v", "one", 60.0) and not other.take("v", "two") and other.take("w", "two")
    assert store.take("v", "one", 60.0), "a process that begins again under its name goes on at once"
    assert store.say("v", "one", ShadowState(entry=7, events=3), 0.0) and not store.held()["v"].lives
    assert other.take("v", "two") and not store.say("v", "one", ShadowState(entry=8))
    held = other.held()["v"]
    assert (held.owner, held.lives, held.state.entry) == ("two", True, 7), "the last state stays"
    store.leave("v", "one")
    assert other.held()["v"].lives, "a lease is its owner's alone to give back"
    other.leave("v", "two")
    assert not other.held()["v"].lives and store.take("v", "one")
    store.close()
    other.close()


def a_state_comes_back_as_it_was_stored(open_store: OpensShadow) -> None:
    """Odd characters too; a first lease says when it was taken."""
    store = open_store(_PLENTY)
    assert store.take("v", "one")
    first = store.held()["v"].state
    assert 0 < first.began_ns <= first.at_ns and first.entry == 0
    state = ShadowState(5, 9, 100, 7, 2, 1.5, 10, 20, "ü'\"; -- %s \u2028")
    assert store.say("v", "one", state) and store.held()["v"].state == state
    store.close()


SHADOW_CHECKS = (
    an_empty_store_holds_nothing,
    decisions_come_back_as_they_were_appended,
    decisions_of_the_same_entry_are_replaced,
    a_version_that_is_dropped_is_gone_and_the_others_stay,
    the_oldest_entries_go_first,
    one_process_has_a_lease_until_it_is_over,
    a_state_comes_back_as_it_was_stored,
)
"""All of them."""
