"""The contract of every store of settings, whatever it is built on.

A plug-in's author calls each function with a way to open the store on one and the same, empty place::

    @pytest.mark.parametrize("check", SETTINGS_CHECKS, ids=lambda check: check.__name__)
    def test_my_settings(check, tmp_path):
        check(lambda: MySettings(tmp_path))

Each function asserts; none needs pytest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

from homeostat.errors import Conflict
from homeostat.ports.settings import Applied, Changed, Settings, expire
from homeostat.records.change_rows import BODY_BYTES_MAX
from homeostat.records.changes import Change, ChangeKind, Scope, expiry, in_force

OpensSettings = Callable[[], Settings]
_BLOCK = Scope(ChangeKind.THRESHOLD, "block")
_LATER_NS = 4_000_000_000 * 10**9  # The year 2096.
_AUTHORS, _CHANGES = 4, 8


def threshold(at: float, actor: str = "ann", **more: object) -> Change:
    """A change of the threshold from which an action is proposed."""
    return Change(*_BLOCK, {"at": at}, actor, f"{actor} wants {at}", **more)  # type: ignore[arg-type]


def _refused(append: Callable[[], Change]) -> Change:
    """The change that came first, as the error names it."""
    try:
        append()
    except Changed as error:
        text, found = str(error), error.found
        assert f"change {found.number} by {found.actor}" in text and found.reason in text, text
        return found
    raise AssertionError("a lost update")


def nothing_is_in_force_at_first(open_settings: OpensSettings) -> None:
    """An empty store answers every question, and looking stores nothing."""
    settings = open_settings()
    assert settings.last == 0 and settings.since(0) == [] and settings.last_of(_BLOCK) is None
    assert settings.at(_LATER_NS) == {} and settings.history(_BLOCK, _LATER_NS) == []
    assert list(settings.processes()) == [] and expire(settings, _LATER_NS) == []
    settings.leave("nobody")
    settings.close()


def changes_are_numbered_without_gaps(open_settings: OpensSettings) -> None:
    """From 1 on, in order, with rising times; they are read as they were returned, also after opening again."""
    settings = open_settings()
    stored = [settings.append(threshold(at / 10), None) for at in range(1, 6)]
    assert [change.number for change in stored] == [1, 2, 3, 4, 5]
    assert all(one.at_ns < other.at_ns for one, other in pairwise(stored))
    assert [change.before for change in stored] == [None, *(change.body for change in stored[:-1])]
    for again in (settings, open_settings()):
        assert again.since(0) == stored and again.since(3) == stored[3:] and again.since(1, 2) == stored[1:3]
        assert again.since(5) == [] == again.since(2, 0) and again.since(9) == []
        assert again.last_of(_BLOCK) == stored[-1]
        again.close()


def an_author_has_seen_the_change_before(open_settings: OpensSettings) -> None:
    """Else the change is refused, and the error has the change that came first; other scopes do not matter."""
    settings, other = open_settings(), open_settings()
    first = settings.append(threshold(0.9), 0)
    for expected in (0, 7):
        assert _refused(lambda expected=expected: other.append(threshold(0.1, "bob"), expected)) == first  # type: ignore[misc]
    settings.append(Change(ChangeKind.THRESHOLD, "review", {"at": 0.5}, "eve", "another scope"), 0)
    settings.append(Change(ChangeKind.RULE, "block", {"off": True}, "eve", "another kind"), 0)
    assert other.append(threshold(0.1, "bob"), 1).number == 4
    assert other.append(threshold(0.2, "bob"), None).number == 5
    try:
        settings.append(Change(ChangeKind.LIST, "new", {"entries": []}, "eve", "too early"), 3)
    except Conflict:
        assert settings.since(0)[-1].number == 5
    else:
        raise AssertionError("an author saw a change that never was")
    settings.close()
    other.close()


def a_key_stands_for_one_change(open_settings: OpensSettings) -> None:
    """However often it is sent, also when others changed the scope since; not for another change."""
    settings, other = open_settings(), open_settings()
    first = settings.append(threshold(0.9, key="a"), 0)
    settings.append(threshold(0.8, "bob", key="b"), 1)
    for store in (settings, other):
        assert store.append(threshold(0.9, key="a"), 0) == first
        with suppress(Conflict):
            store.append(threshold(0.7, key="a"), None)
            raise AssertionError("one key stands for two changes")
        assert len(store.since(0)) == 2
        store.close()


def of_authors_at_once_none_is_lost(open_settings: OpensSettings) -> None:
    """Authors who all add to the same number, each with a store of its own, lose none of what they add."""
    failures: list[BaseException] = []
    start = threading.Barrier(_AUTHORS)

    def add(author: int) -> None:
        store = open_settings()
        try:
            start.wait(30)
            for _ in range(_CHANGES):
                add_one(store, f"author {author}")
        except BaseException as error:
            failures.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=add, args=(author,)) for author in range(_AUTHORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
    settings = open_settings()
    changes = settings.since(0)
    total = _AUTHORS * _CHANGES
    assert [change.number for change in changes] == list(range(1, total + 1))
    assert [change.body for change in changes] == [{"at": at} for at in range(1, total + 1)]
    settings.close()


def add_one(store: Settings, author: str) -> None:
    """Raise the threshold by one, however many others do the same."""
    while True:
        last = store.last_of(_BLOCK)
        body = {"at": 1 if last is None or last.body is None else last.body["at"] + 1}
        with suppress(Changed):
            store.append(Change(*_BLOCK, body, author, "one more"), 0 if last is None else last.number)
            return


def an_undo_brings_back_the_value_before(open_settings: OpensSettings) -> None:
    """With the time at which that was to end; an undo of the undo brings back the newer value."""
    settings = open_settings()
    first = settings.append(threshold(0.9, expires_ns=_LATER_NS), 0)
    second = settings.append(threshold(0.8, "bob"), 1)
    undo = settings.append(second.undo("ann", "too low"), second.number)
    assert (undo.body, undo.expires_ns, undo.reverts) == (first.body, _LATER_NS, 2)
    redo = settings.append(undo.undo("bob", "not at all"), undo.number)
    assert (redo.body, redo.expires_ns, redo.reverts) == (second.body, None, 3)
    assert _refused(lambda: settings.append(second.undo("eve", "late"), second.number)) == redo
    settings.close()


def a_change_whose_time_is_over_is_undone_once(open_settings: OpensSettings) -> None:
    """Whichever process sees it first, and not before its time; the undoing change says why."""
    settings, other = open_settings(), open_settings()
    settings.append(threshold(0.9), 0)
    short = settings.append(threshold(0.5, "bob", expires_ns=_LATER_NS), 1)
    assert expire(other, _LATER_NS - 1) == []
    done = expire(other, _LATER_NS)
    assert [(change.body, change.reverts, change.actor) for change in done] == [
        ({"at": 0.9}, short.number, "homeostat")
    ]
    assert expire(settings, _LATER_NS) == [] and settings.since(2) == done
    assert settings.append(expiry([short, *settings.history(_BLOCK)[2:]]), short.number) == done[0]
    settings.close()
    other.close()


def the_time_of_a_value_is_its_own(open_settings: OpensSettings) -> None:
    """A value that an undo brought back ends at its own time, and then what it had replaced comes back."""
    settings = open_settings()
    settings.append(threshold(0.9), 0)
    settings.append(threshold(0.5, "bob", expires_ns=_LATER_NS), 1)
    third = settings.append(threshold(0.1, "eve"), 2)
    settings.append(third.undo("eve", "wrong"), 3)
    (done,) = expire(settings, _LATER_NS)
    assert (done.body, done.reverts, done.expires_ns) == ({"at": 0.9}, 2, None)
    settings.close()


def any_time_shows_what_was_in_force(open_settings: OpensSettings) -> None:
    """From the moment at which a change was stored until the next of its scope."""
    settings = open_settings()
    stored = [
        settings.append(threshold(0.9), 0),
        settings.append(Change(ChangeKind.LEARNING, "bandit", {"on": False}, "ann", "odd labels"), 0),
        settings.append(Change(ChangeKind.LIST, "known", {"entries": ["a"]}, "bob", "more"), 0),
    ]
    stored.append(settings.append(stored[1].undo("ann", "labels are well"), 2))
    stored.append(settings.append(threshold(0.8), 1))
    for k, change in enumerate(stored):
        assert settings.at(change.at_ns - 1) == in_force(stored[:k])
        assert settings.at(change.at_ns) == in_force(stored[: k + 1])
    assert settings.at(_LATER_NS)[_BLOCK] == stored[-1] and settings.at(0) == {} == settings.at(-5)
    settings.close()


def the_history_of_a_scope_is_newest_first(open_settings: OpensSettings) -> None:
    """All of it, up to a time, or so many."""
    settings = open_settings()
    stored = [settings.append(threshold(at / 10), None) for at in range(1, 5)]
    settings.append(Change(ChangeKind.THRESHOLD, "review", {"at": 0.5}, "eve", "another scope"), 0)
    newest = stored[::-1]
    assert settings.history(_BLOCK) == newest and settings.history(_BLOCK, limit=2) == newest[:2]
    assert settings.history(_BLOCK, stored[1].at_ns) == newest[2:]
    assert settings.history(_BLOCK, stored[1].at_ns - 1, 1) == newest[3:]
    assert settings.history(_BLOCK, stored[0].at_ns - 1) == [] == settings.history(_BLOCK, limit=0)
    settings.close()


def the_next_change_of_a_scope_is_found(open_settings: OpensSettings) -> None:
    """The first one above a number, changes of other scopes left out; None behind the last."""
    settings = open_settings()
    first = settings.append(threshold(0.9), None)
    settings.append(Change(ChangeKind.THRESHOLD, "review", {"at": 0.5}, "eve", "another scope"), None)
    last = settings.append(threshold(0.8), None)
    assert [settings.next_of(_BLOCK, number) for number in (-1, 0, 1, 2, 3, 9)] == [
        first,
        first,
        last,
        last,
        None,
        None,
    ]
    assert settings.next_of(Scope(ChangeKind.RULE, "block"), 0) is None
    settings.close()


def others_see_the_last_number(open_settings: OpensSettings) -> None:
    """Here at once, elsewhere soon."""
    settings, other = open_settings(), open_settings()
    assert other.last == 0
    for k in range(1, 4):
        settings.append(threshold(k / 10), None)
        assert settings.last == k
        _soon(lambda k=k: other.last == k)  # type: ignore[misc]
    settings.close()
    other.close()


def _soon(holds: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(4000):
        if holds():
            return
        pause.wait(0.005)
    raise AssertionError("not within twenty seconds")


def a_body_comes_back_as_it_was(open_settings: OpensSettings) -> None:
    """Every number to its last digit, every text, and an empty one."""
    settings = open_settings()
    for body in (
        {}, {"at": 0.1 + 0.2, "b": -0.0, "c": 5e-324, "d": 1.7976931348623157e308, "e": 2**80, "f": None},
        {"entries": ["", "a\0b", "\ud800", "é\u2028 \U0001f600", '"\\', "'; DROP TABLE settings_changes; --"]},
        {"\0": "\x7f", "when": {"a": [[], {}, [True, False]]}}, {"long": "x" * (BODY_BYTES_MAX - 11)}, None,
    ):  # fmt: skip
        change = settings.append(Change(ChangeKind.LIST, "any", body, "ann", "é is fine"), None)
        (found,) = settings.since(change.number - 1)
        assert found == change and found.body == body and str(found.body) == str(body)
    settings.close()


def a_change_that_can_not_be_stored_is_refused(open_settings: OpensSettings) -> None:
    """With ValueError, and nothing is stored."""
    settings = open_settings()
    for change in (
        threshold(float("nan")), threshold(float("inf")), threshold(0.5, ""), threshold(0.5, "a" * 201),
        threshold(0.5, "a\0b"), threshold(0.5, "\ud800"), threshold(0.5, key="a\nb"), threshold(0.5, key="k" * 201),
        threshold(0.5, expires_ns=1 << 63), threshold(0.5, expires_ns=0), Change(*_BLOCK, {"at": {1}}, "ann", "a set"),
        Change(*_BLOCK, {}, "ann", ""), Change(*_BLOCK, {}, "ann", "a" * 2001),
        Change(ChangeKind.LIST, "", {}, "ann", "no name"), Change("no kind", "x", {}, "ann", "?"),  # type: ignore[arg-type]
        Change(ChangeKind.LIST, "x", {"long": "x" * BODY_BYTES_MAX}, "ann", "?"),
    ):  # fmt: skip
        try:
            settings.append(change, None)
        except ValueError:
            continue
        raise AssertionError(f"{change} was stored")
    assert settings.since(0) == [] and settings.last == 0
    settings.close()


def processes_report_how_far_they_are(open_settings: OpensSettings) -> None:
    """The last report of each counts until it leaves, or falls silent for a day."""
    settings, other = open_settings(), open_settings()
    now = 1_700_000_000 * 10**9
    settings.report(Applied("worker 1", 1, now))
    other.report(Applied("worker 2", 0, now + 1, "the version is missing: 'é'"))
    settings.report(Applied("worker 1", 2, now + 5))
    assert list(settings.processes()) == list(other.processes()) == [
        Applied("worker 1", 2, now + 5), Applied("worker 2", 0, now + 1, "the version is missing: 'é'"),
    ]  # fmt: skip
    assert not settings.processes()[0].gone(now + 20 * 10**9) and settings.processes()[0].gone(now + 40 * 10**9)
    other.leave("worker 1")
    other.leave("worker 1")
    assert [applied.process for applied in settings.processes()] == ["worker 2"]
    settings.report(Applied("worker 3", 2, now + 86_401 * 10**9))
    assert [applied.process for applied in settings.processes()] == ["worker 3"]
    settings.close()
    other.close()


SETTINGS_CHECKS: tuple[Callable[[OpensSettings], None], ...] = (
    nothing_is_in_force_at_first,
    changes_are_numbered_without_gaps,
    an_author_has_seen_the_change_before,
    a_key_stands_for_one_change,
    of_authors_at_once_none_is_lost,
    an_undo_brings_back_the_value_before,
    a_change_whose_time_is_over_is_undone_once,
    the_time_of_a_value_is_its_own,
    any_time_shows_what_was_in_force,
    the_history_of_a_scope_is_newest_first,
    the_next_change_of_a_scope_is_found,
    others_see_the_last_number,
    a_body_comes_back_as_it_was,
    a_change_that_can_not_be_stored_is_refused,
    processes_report_how_far_they_are,
)
