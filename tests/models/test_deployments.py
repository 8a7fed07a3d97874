"""The history of live versions, and the way back: deployments as the settings hold them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.memory.settings import MemorySettings
from homeostat.checks.registry import APP, bundle_in
from homeostat.errors import Conflict
from homeostat.models.deployments import (
    NothingBefore,
    check_deletable,
    deployed_at,
    deployments,
    promote,
    roles,
    roll_back,
    rollback_of,
    stored,
)
from homeostat.ports.registry import InUse, Lineage, UnknownVersion
from homeostat.records.changes import Change, ChangeKind


class Steps:
    """A clock that goes on by ten at each look."""

    def __init__(self) -> None:
        self.now = 0

    def now_ns(self) -> int:
        self.now += 10
        return self.now

    def monotonic_ns(self) -> int:
        return self.now


@pytest.fixture
def registry(tmp_path: Path) -> SqliteRegistry:
    registry = SqliteRegistry(tmp_path / "data")
    for k in range(4):
        registry.put(bundle_in(tmp_path, k), Lineage(APP))
    return registry


def deploy(store: MemorySettings, version: str | None, role: str = "champion") -> Change:
    body = None if version is None else {"version": version}
    return store.append(Change(ChangeKind.DEPLOY, role, body, "ann", f"try {version}"), None)


def test_a_version_is_live_from_its_promotion_to_the_next_one() -> None:
    store = MemorySettings(Steps())
    before = deployed_at(store, 5)
    assert (before.version, before.number, before.from_ns, before.to_ns) == (None, 0, None, None)
    first = deploy(store, "a")
    store.append(Change(ChangeKind.FALLBACK, "app", {"action": "x"}, "bob", "outage"), None)
    deploy(store, "c", "challenger")
    second = deploy(store, "b")
    assert deployed_at(store, first.at_ns - 1).to_ns == first.at_ns
    at = deployed_at(store, second.at_ns - 1)
    assert (at.version, at.from_ns, at.to_ns, at.actor, at.why) == ("a", first.at_ns, second.at_ns, "ann", "try a")
    now = deployed_at(store, second.at_ns)
    assert (now.version, now.from_ns, now.to_ns, now.number) == ("b", second.at_ns, None, second.number)
    assert [one.version for one in deployments(store)] == ["b", "a"] and roles(store) == {
        "b": ["champion"], "c": ["challenger"],
    }  # fmt: skip
    assert deployed_at(store, second.at_ns, "challenger").version == "c"


def test_a_promotion_names_a_version_and_a_second_one_of_it_is_refused(registry: SqliteRegistry) -> None:
    store = MemorySettings(Steps())
    change = promote(store, registry, "2", "ann", "better")
    assert change.body == {"version": registry.get("2").version} and change.number == 1
    with pytest.raises(Conflict, match="is the champion already, since change 1 by ann"):
        promote(store, registry, "2", "bob", "better")
    with pytest.raises(UnknownVersion):
        promote(store, registry, "9", "bob", "better")
    registry.delete("3", "ann", "no use")
    with pytest.raises(UnknownVersion, match="was deleted by ann"):
        promote(store, registry, "3", "bob", "better")
    assert store.last == 1


def test_rollbacks_go_back_step_by_step_to_the_bundle_of_the_start(registry: SqliteRegistry) -> None:
    store = MemorySettings(Steps())
    names = [promote(store, registry, number, "ann", "better").body["version"] for number in "123"]
    assert roll_back(store, registry, "bob", "worse").body == {"version": names[1]}
    assert roll_back(store, registry, "bob", "worse").body == {"version": names[0]}
    last = roll_back(store, registry, "bob", "worse")
    assert last.body is None and last.reverts == 1 and roles(store) == {}
    with pytest.raises(NothingBefore):
        roll_back(store, registry, "bob", "worse")
    assert promote(store, registry, "4", "ann", "new").before is None
    assert roll_back(store, registry, "bob", "worse").reverts == 7


def test_a_rollback_that_was_undone_does_not_count(registry: SqliteRegistry) -> None:
    store = MemorySettings(Steps())
    names = [promote(store, registry, number, "ann", "better").body["version"] for number in "12"]
    back = roll_back(store, registry, "bob", "worse")
    store.append(back.undo("ann", "it was not"), back.number)
    assert roles(store) == {names[1]: ["champion"]}
    assert roll_back(store, registry, "bob", "it was").body == {"version": names[0]}


def test_a_rollback_to_a_deleted_version_is_refused(registry: SqliteRegistry) -> None:
    store = MemorySettings(Steps())
    promote(store, registry, "1", "ann", "better")
    promote(store, registry, "2", "ann", "better")
    registry.delete("1", "ann", "by force")
    with pytest.raises(UnknownVersion, match="by force"):
        roll_back(store, registry, "bob", "worse")


def test_a_version_is_in_use_while_it_has_a_role_and_as_long_as_its_decisions_are_kept() -> None:
    store = MemorySettings(Steps())
    deploy(store, "a")
    second = deploy(store, "b")
    deploy(store, "c", "challenger")
    check_deletable(store, "z", second.at_ns, None)
    for version, remedy in (("b", "promote another one"), ("c", "rollback --role challenger")):
        with pytest.raises(InUse, match=f"now; .*{remedy}"):
            check_deletable(store, version, 10**9, 5)
    with pytest.raises(InUse, match="was champion"):
        check_deletable(store, "a", 10**9, None)
    with pytest.raises(InUse, match="was champion"):
        check_deletable(store, "a", second.at_ns + 99, 100)
    check_deletable(store, "a", second.at_ns + 100, 100)


def test_a_version_that_was_a_canary_stays_as_long_as_its_decisions_are_kept() -> None:
    store = MemorySettings(Steps())
    deploy(store, "a")
    deploy(store, "b", "canary")
    ended = store.append(Change(ChangeKind.DEPLOY, "canary", None, "ann", "it is over"), None)
    with pytest.raises(InUse, match="was canary"):
        check_deletable(store, "b", 10**9, None)
    with pytest.raises(InUse, match="was canary"):
        check_deletable(store, "b", ended.at_ns + 99, 100)
    check_deletable(store, "b", ended.at_ns + 100, 100)


def test_a_version_that_a_change_deploys_stays_while_it_is_stored(registry: SqliteRegistry) -> None:
    others: list[threading.Thread] = []

    class Racing(MemorySettings):
        """An author deletes the version while the change is on its way into the store."""

        def append(self, change: Change, expected: int | None) -> Change:
            others.append(threading.Thread(target=delete))
            others[-1].start()
            others[-1].join(0.1)
            return super().append(change, expected)

    store, refused = Racing(Steps()), []

    def delete() -> None:
        try:
            registry.delete("2", "bob", "no use", lambda: check_deletable(store, two, 10**9, 0))
        except InUse as error:
            refused.append(error)

    two = registry.get("2").version
    made = stored(store, registry, Change(ChangeKind.DEPLOY, "champion", {"version": "2"}, "ann", "better"), 0)
    others[0].join()
    assert made.body == {"version": two} and registry.get("2").deleted_ns is None and len(refused) == 1


def test_a_change_deploys_no_version_that_is_not_there(registry: SqliteRegistry, tmp_path: Path) -> None:
    store = MemorySettings(Steps())
    registry.delete("3", "ann", "no use")
    for name, why in (("3", "was deleted by ann"), ("9", "there is no version"), ("../x", "there is no version")):
        wish = Change(ChangeKind.DEPLOY, "champion", {"version": name}, "ann", "better")
        with pytest.raises(UnknownVersion, match=why):
            stored(store, registry, wish, 0)
    with pytest.raises(UnknownVersion):
        stored(store, SqliteRegistry(tmp_path / "none"), wish, 0)
    assert store.last == 0 and not (tmp_path / "none").exists()
    nothing = stored(store, registry, Change(ChangeKind.DEPLOY, "champion", None, "ann", "as before"), 0)
    assert nothing.number == 1
    assert stored(store, None, wish, 1).body == {"version": "../x"}  # Without a registry nothing can be deleted.


def test_a_version_that_comes_back_when_a_time_is_over_is_not_deleted() -> None:
    store = MemorySettings(Steps())
    deploy(store, "a", "challenger")
    wish = Change(ChangeKind.DEPLOY, "challenger", {"version": "b"}, "ann", "for an hour", expires_ns=10**9)
    made = store.append(wish, None)
    with pytest.raises(InUse, match="is the challenger again when the time of change 2 is over"):
        check_deletable(store, "a", 100, 0)
    store.append(made.undo("ann", "back"), made.number)
    deploy(store, "c", "challenger")
    check_deletable(store, "a", 100, 0)


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "back"]), max_size=60))
def test_rollbacks_equal_a_naive_stack(acts: list[str]) -> None:
    store, stack = MemorySettings(Steps()), [None]
    for act in acts:
        if act != "back":
            deploy(store, act)
            stack.append(act)
        elif len(stack) == 1:
            with pytest.raises(NothingBefore):
                rollback_of(store, "bob", "worse")
        else:
            change, last = rollback_of(store, "bob", "worse")
            store.append(change, last)
            stack.pop()
        assert deployed_at(store, 10**9).version == stack[-1]
