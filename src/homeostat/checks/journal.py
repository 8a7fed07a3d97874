"""The contract of every journal, snapshot store and dead-letter file, whatever it is built on.

A plug-in's author calls each function with a way to open the adapter on one and the same place::

    @pytest.mark.parametrize("check", JOURNAL_CHECKS, ids=lambda check: check.__name__)
    def test_my_journal(check, tmp_path):
        check(lambda: MyJournal(tmp_path / "journal"))

Each function asserts; none needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import numpy as np

from homeostat.checks.batches import CODING, changes, decisions, of_one_code, outcomes, same, with_canary
from homeostat.ports import DeadLetters, Journal, Snapshot, Snapshots
from homeostat.ports.shared import Repeated
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import DeadLetter
from homeostat.records.identity import Ids
from homeostat.records.meaning import Meaning
from homeostat.records.rows import decisions_at


class OpenJournal(Journal, Protocol):
    """A journal that can be closed, to be opened again on the same place."""

    def close(self) -> None: ...


OpensJournal = Callable[[], OpenJournal]


def ids_of(*ids: int | str) -> Ids:
    """The identities of ids, (n,)."""
    return CODING.ids(ids)


def an_empty_journal_has_seen_nothing(open_journal: OpensJournal) -> None:
    """Nothing is found, read or seen before anything was appended."""
    journal = open_journal()
    assert list(journal.read()) == []
    assert journal.find((1, 0)) is None
    assert not journal.seen(ids_of(1, "a")).any()
    assert journal.seen(ids_of()).shape == (0,)
    journal.close()


def what_was_appended_is_read_in_order(open_journal: OpensJournal) -> None:
    """Every body comes back bit for bit, in order, with rising numbers, now and after opening again."""
    journal = open_journal()
    bodies: list[Body] = [
        decisions([1, 2, "a"], 1), outcomes([1, "a"], 2), decisions([7], 3), changes(1, 2), decisions(["b"], 4),
        changes(3), replace(decisions(["c"], 5), settings=3),
    ]  # fmt: skip
    numbers = [journal.append(body) for body in bodies]
    assert numbers == sorted(set(numbers))
    for _ in range(2):
        entries = list(journal.read())
        assert [entry.sequence for entry in entries] == numbers
        assert all(same(entry.body, body) for entry, body in zip(entries, bodies, strict=True))
        assert [entry.sequence for entry in journal.read(numbers[1])] == numbers[2:]
        assert list(journal.read(numbers[-1])) == []
        journal.close()
        journal = open_journal()
    assert journal.append(decisions([9], 5)) > numbers[-1]
    journal.close()


def every_decision_is_found_by_its_id(open_journal: OpensJournal) -> None:
    """`find`, `find_all` and `seen` know each decided id, and no other, now and after opening again."""
    journal = open_journal()
    first, second = decisions([1, "a", -5], 1), decisions(["b", 2], 2)
    journal.append(first)
    journal.append(outcomes([77, "c"]))
    journal.append(second)
    for _ in range(2):
        asked = ids_of(1, "a", -5, "b", 2, 77, "c", 3)
        assert journal.seen(asked).tolist() == [True] * 5 + [False] * 3
        for batch in (first, second):
            for row, one in enumerate(batch.events.ids.tolist()):
                found = journal.find(one)
                assert found is not None
                assert found[0].events.ids.at(found[1]) == one
                assert found[0].events.id_text(found[1]) == batch.events.id_text(row)
                assert found[0].fused.risk[found[1]] == batch.fused.risk[row]
        assert journal.find((77, 0)) is None
        together = journal.find_all(asked)
        assert together[5:] == [None] * 3
        for one, found in zip(asked.tolist(), together[:5], strict=False):
            assert found is not None and found[0].events.ids.at(found[1]) == one
        assert journal.find_all(asked[:0]) == []
        journal.close()
        journal = open_journal()
    journal.close()


def ids_of_one_code_are_distinguished(open_journal: OpensJournal) -> None:
    """Where the codes of several ids are one, each is found as itself, now and after opening again."""
    journal = open_journal()
    batch = of_one_code(1)
    ids, events = batch.events.ids, batch.events
    journal.append(decisions_at(batch, np.array([True, False, False])))
    assert journal.seen(ids).tolist() == [True, False, False]
    journal.append(decisions_at(batch, np.array([False, True, False])))
    for _ in range(2):
        assert journal.seen(ids).tolist() == [True, True, False]
        found = journal.find_all(ids)
        assert [None if one is None else one[0].events.id_text(one[1]) for one in found] == ["a", "b", None]
        assert journal.find((ids.at(0)[0], 0)) is None
        journal.close()
        journal = open_journal()
    journal.append(decisions_at(batch, np.array([False, False, True])))
    (*_, last) = journal.read()
    assert isinstance(last.body, DecisionBatch) and last.body.events.id_text(0) == "c"
    assert last.body.events.key_checks[0].tolist() == events.key_checks[2].tolist()
    journal.close()


def the_first_decision_of_an_id_is_the_one_found(open_journal: OpensJournal) -> None:
    """A later decision of the same id is kept, or refused where the journal is shared; the first stays the answer."""
    journal = open_journal()
    journal.append(decisions([1], 1))
    with suppress(Repeated):
        journal.append(decisions([1], 2))
    for _ in range(2):
        found = journal.find((1, 0))
        assert found is not None and found[0].version == "version-1"
        journal.close()
        journal = open_journal()
    journal.close()


def a_large_batch_is_kept_whole(open_journal: OpensJournal) -> None:
    """A batch may come back in several entries, but with every row, in order."""
    journal = open_journal()
    batch = decisions(list(range(10_000)), 1)
    journal.append(batch)
    bodies = [entry.body for entry in journal.read()]
    assert all(isinstance(body, DecisionBatch) for body in bodies)
    risks = np.concatenate([body.fused.risk for body in bodies if isinstance(body, DecisionBatch)])
    assert risks.tobytes() == batch.fused.risk.tobytes()
    assert journal.seen(batch.events.ids).all()
    found = journal.find((9_999, 0))
    assert found is not None and found[0].fused.risk[found[1]] == batch.fused.risk[-1]
    journal.close()


def each_decision_keeps_the_version_that_made_it(open_journal: OpensJournal) -> None:
    """Also where a canary made some of a batch, however large that is."""
    journal = open_journal()
    small, large = with_canary(decisions(list(range(5)), 1)), with_canary(decisions(list(range(10, 5_000)), 2))
    for batch in (small, decisions([5], 3), large):
        journal.append(batch)
    for _ in range(2):
        for batch in (small, large):
            for found, one in zip(journal.find_all(batch.events.ids), range(len(batch)), strict=True):
                assert found is not None and found[0].made_by(found[1]) == batch.made_by(one)
        plain = journal.find((5, 0))
        assert plain is not None and plain[0].arm is None and plain[0].made_by(plain[1]) == "version-3"
        journal.close()
        journal = open_journal()
    journal.close()


JOURNAL_CHECKS: tuple[Callable[[OpensJournal], None], ...] = (
    an_empty_journal_has_seen_nothing,
    what_was_appended_is_read_in_order,
    every_decision_is_found_by_its_id,
    ids_of_one_code_are_distinguished,
    the_first_decision_of_an_id_is_the_one_found,
    a_large_batch_is_kept_whole,
    each_decision_keeps_the_version_that_made_it,
)


def a_snapshot_is_restored_bit_for_bit(open_snapshots: Callable[[], Snapshots]) -> None:
    """None at first; then what was saved last, with its types, shapes and bits, also through another instance."""
    assert open_snapshots().load() is None
    state = {
        "loop/floats": np.array([[0.0, -0.0], [np.nan, 5e-324]]),
        "loop/codes": np.array([-(1 << 63), (1 << 63) - 1]),
        "flags": np.array([True, False]),
        "empty": np.empty((0, 3), np.int16),
        "scalar": np.array(7, np.uint64),
        "names": np.array(["a", "größer"]),
    }
    snapshots = open_snapshots()
    meaning = {"windows": Meaning("digest", {"count": 'of "größe"'})}
    snapshots.save(Snapshot(3, {"old": np.array([1])}))
    snapshots.save(Snapshot(8, state, "history", "software", meaning, 7))
    for store in (snapshots, open_snapshots()):
        loaded = store.load()
        assert loaded is not None and loaded.sequence == 8
        assert loaded.settings == 7
        assert (loaded.history, loaded.software, dict(loaded.meaning)) == ("history", "software", meaning)
        assert set(loaded.state) == set(state)
        assert all(same(loaded.state[name], array) for name, array in state.items())
        loaded.state["flags"][0] = False  # A restored journal may be written to.
        assert snapshots.load(lambda found: "is not wanted") is None


SNAPSHOT_CHECKS: tuple[Callable[[Callable[[], Snapshots]], None], ...] = (a_snapshot_is_restored_bit_for_bit,)


def any_text_can_be_buried(dead_letters: DeadLetters) -> None:
    """Nothing that an event can hold makes burying it fail."""
    dead_letters.bury([])
    odd = ["", "\ud800", "\x00", "line\nbreak", '"', "x" * 1_000_000, "🙂", "\u2028"]
    dead_letters.bury([DeadLetter(k, text, text, "malformed") for k, text in enumerate(odd)])


DEAD_LETTER_CHECKS: tuple[Callable[[DeadLetters], None], ...] = (any_text_can_be_buried,)
