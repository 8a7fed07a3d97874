"""The contract of `DecisionLists`, over a journal that the lists are of.

A test module of yours has these lines, and pytest does the rest::

    @pytest.mark.parametrize("check", DECISION_LIST_CHECKS)
    def test_my_lists(check, tmp_path):
        check(lambda: open_journal(tmp_path), lambda: MyLists(tmp_path))

`opens_journal` gives the journal to write to, and `opens` its lists; both are opened several times, on the same data.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from homeostat.checks.batches import decisions, outcomes, with_canary
from homeostat.decide.guards.plan import BY_NAME
from homeostat.ports.decision_lists import EVER_NS, NEVER_NS, DecisionLists, News, Place, Wanted
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row
from homeostat.records.identity import Coding, text_of

SECOND_NS = 10**9


class Appends(Protocol):
    """A journal, as far as these checks need it."""

    @property
    def coding(self) -> Coding: ...

    def append(self, body: Body) -> int: ...

    def close(self) -> None: ...


OpensJournal = Callable[[], Appends]
OpensLists = Callable[[], DecisionLists]
Decided = tuple[Place, DecisionBatch, int]


def fits(wanted: Wanted, batch: DecisionBatch, row: int) -> bool:
    """Whether a decision is asked for, looked up in the plainest way."""
    words, events = batch.words, batch.events
    rule = batch.ruling.rule.item(row)
    name = words.rule(rule) if rule >= 0 else BY_NAME[rule]
    keys = {
        kind: text_of(events.keys.item(row, k), events.key_checks.item(row, k), events.texts)
        for k, (kind, _) in enumerate(words.entities)
    }
    degraded = bool(batch.fallback[row]) or bool(np.isnan(batch.scores.values[row]).any())
    return (
        wanted.since_ns <= events.time_ns.item(row) < wanted.until_ns
        and (not wanted.actions or words.action(batch.ruling.action.item(row)) in wanted.actions)
        and (not wanted.rules or name in wanted.rules)
        and (not wanted.versions or batch.made_by(row) in wanted.versions)
        and (wanted.entity is None or keys.get(wanted.entity[0]) == wanted.entity[1])
        and (wanted.risk_min is None or batch.fused.risk.item(row) >= wanted.risk_min)
        and (wanted.degraded is None or degraded == wanted.degraded)
    )


def naive(written: Iterable[tuple[int, DecisionBatch]], wanted: Wanted) -> list[Decided]:
    """The decisions of some entries that are asked for, the newest first."""
    found = [
        (Place(batch.events.time_ns.item(row), entry, row), batch, row)
        for entry, batch in written
        for row in range(len(batch))
        if batch.events.kind[row] != Row.OUTCOME and fits(wanted, batch, row)
    ]
    return sorted(found, key=lambda one: one[0], reverse=True)


def listed(lists: DecisionLists, wanted: Wanted, limit: int, patience_s: float = 60.0) -> list[tuple[Place, str, str]]:
    """Place, id and action of all decisions that are asked for, page by page."""
    found: list[tuple[Place, str, str]] = []
    below, as_of = None, None
    for _ in range(10_000):
        page = lists.page(wanted, limit, below, as_of, patience_s)
        found += [shown(one.place, one.batch, one.row) for one in page.items]
        assert page.following is None or below is None or page.following < below, "a page leads nowhere"
        if page.following is None:
            return found
        below, as_of = page.following, page.as_of
    raise AssertionError("the pages have no end")


def shown(place: Place, batch: DecisionBatch, row: int) -> tuple[Place, str, str]:
    """A decision in a form that can be compared."""
    return place, batch.events.id_text(row), batch.words.action(batch.ruling.action.item(row))


def every_filter() -> list[Wanted]:
    """Each filter alone, and several of them together, of the batches of these checks."""
    time: dict[str, Any] = {"since_ns": 20 * SECOND_NS, "until_ns": 90 * SECOND_NS}
    single: list[dict[str, Any]] = [
        {"actions": ("action_1",)}, {"actions": ("action_0", "action_2")}, {"actions": ("none",)},
        {"rules": ("breaker",)}, {"rules": ("", "rule_2")}, {"versions": ("version-1",)},
        {"versions": ("version-2+canary",)}, {"entity": ("customer", "3")}, {"entity": ("terminal", "8")},
        {"entity": ("nobody", "3")}, {"risk_min": 0.8}, {"degraded": True}, {"degraded": False}, time,
    ]  # fmt: skip
    pairs = [{**one, **other} for one, other in itertools.islice(itertools.combinations(single, 2), 0, None, 4)]
    whole = {**time, "entity": ("customer", "5"), "actions": ("action_0", "action_1"), "degraded": True}
    return [Wanted(**one) for one in [{}, *single, *pairs, whole]]


def some_batches(start: int = 0, count: int = 5) -> list[DecisionBatch]:
    """Batches whose times overlap, one of them by a canary in part, and one of a single decision."""
    made = []
    for k in range(start, start + count):
        size = 1 if k % 5 == 3 else 40
        ids: list[int | str] = [f"event {k}.{n}" if n % 2 else 1000 * k + n for n in range(size)]
        batch = decisions(ids, seed=k, start_ns=15 * k * SECOND_NS)
        made.append(with_canary(batch) if k % 5 == 2 else batch)
    return made


def write(journal: Appends, batches: Sequence[DecisionBatch]) -> list[tuple[int, DecisionBatch]]:
    """The batches with the entries that hold them; entries of outcomes are between them."""
    written = []
    for k, batch in enumerate(batches):
        written.append((journal.append(batch), batch))
        if k % 2:
            journal.append(outcomes([10_000_000 + k], seed=k))
    return written


def an_empty_journal_has_no_decisions(opens_journal: OpensJournal, opens: OpensLists) -> None:
    """A list of nothing is empty, and so are the counts of an entity."""
    with closing(opens_journal()), closing(opens()) as lists:
        page = lists.page(Wanted(), 10)
        assert (page.items, page.following, page.scanned_ns, page.kept_since_ns) == ((), None, None, None)
        counts = lists.counts(("customer", "3"))
        assert (dict(counts.actions), counts.degraded, counts.first_ns) == ({}, 0, None)


def every_filter_finds_what_a_plain_search_finds(opens_journal: OpensJournal, opens: OpensLists) -> None:
    """Each filter, alone and with others, in pages of several sizes, the newest first."""
    with closing(opens_journal()) as journal, closing(opens()) as lists:
        written = write(journal, some_batches())
        for number, wanted in enumerate(every_filter()):
            expected = [shown(*one) for one in naive(written, wanted)]
            assert listed(lists, wanted, (7, 50, 1000)[number % 3]) == expected, wanted


def decisions_that_come_meanwhile_do_not_move_the_pages(opens_journal: OpensJournal, opens: OpensLists) -> None:
    """The pages of one list are those of the journal as it was when the first was given."""
    with closing(opens_journal()) as journal, closing(opens()) as lists:
        written = write(journal, some_batches())
        first = lists.page(Wanted(), 30, patience_s=60.0)
        later = write(journal, some_batches(5, 3))
        assert first.following is not None
        found = [one.place for one in first.items]
        below: Place | None = first.following
        while below is not None:
            page = lists.page(Wanted(), 30, below, first.as_of, 60.0)
            found, below = [*found, *(one.place for one in page.items)], page.following
        assert found == [place for place, *_ in naive(written, Wanted())]
        assert listed(lists, Wanted(), 100) == [shown(*one) for one in naive([*written, *later], Wanted())]


def a_list_without_patience_comes_to_its_end_too(opens_journal: OpensJournal, opens: OpensLists) -> None:
    """Pages that end early say down to which time they are complete, and lead on."""
    with closing(opens_journal()) as journal, closing(opens()) as lists:
        written = write(journal, some_batches())
        wanted = Wanted(actions=("action_1",))
        assert listed(lists, wanted, 3, patience_s=0.0) == [shown(*one) for one in naive(written, wanted)]


def decisions_written_while_nobody_looked_are_listed(opens_journal: OpensJournal, opens: OpensLists) -> None:
    """Lists that are opened again go on with what the journal holds."""
    with closing(opens_journal()) as journal:
        written = write(journal, some_batches())
        with closing(opens()) as lists:
            assert len(listed(lists, Wanted(), 500)) == len(naive(written, Wanted()))
        written += write(journal, some_batches(5, 5))
        with closing(opens()) as lists:
            assert listed(lists, Wanted(), 500) == [shown(*one) for one in naive(written, Wanted())]


def an_entity_has_the_counts_of_its_decisions(opens_journal: OpensJournal, opens: OpensLists) -> None:
    """Actions, decisions with a part that did not answer, and the first and last time."""
    with closing(opens_journal()) as journal, closing(opens()) as lists:
        written = write(journal, some_batches())
        found = naive(written, Wanted(entity=("terminal", "4")))
        counts = lists.counts(("terminal", "4"), 60.0)
        taken = [batch.words.action(batch.ruling.action.item(row)) for _, batch, row in found]
        assert dict(counts.actions) == {action: taken.count(action) for action in set(taken)}
        assert (counts.first_ns, counts.last_ns) == (found[-1][0].time_ns, found[0][0].time_ns)
        degraded = replace(_every(), entity=("terminal", "4"), degraded=True)
        assert counts.degraded == len(naive(written, degraded))


def an_entity_named_by_a_text_is_found_by_it(opens_journal: OpensJournal, opens: OpensLists) -> None:
    """A key that is a text is looked up as a text, and a number that looks like another stays apart from it."""
    with closing(opens_journal()) as journal, closing(opens()) as lists:
        batch = decisions([1, 2, 3], seed=9)
        code, check = journal.coding.identify("anna")
        keys, checks = batch.events.keys.copy(), batch.events.key_checks.copy()
        keys[1, 0], checks[1, 0], keys[0, 0], keys[2, 0] = code, check, 7, 70
        named = replace(batch.events, keys=keys, key_checks=checks, texts={(code, check): "anna"})
        journal.append(replace(batch, events=named))
        asked = [Wanted(entity=("customer", name)) for name in ("anna", "7", "anna ", "07")]
        assert [[one[1] for one in listed(lists, wanted, 10)] for wanted in asked] == [["2"], ["1"], [], []]


def news_are_the_decisions_behind_an_entry(opens_journal: OpensJournal, opens: OpensLists) -> None:
    """In order, the newest ones where there are too many, with how many there are."""
    with closing(opens_journal()) as journal, closing(opens()) as lists:
        assert lists.news(0, 10) == News((), 0, 0)
        written = write(journal, some_batches())
        whole = lists.news(0, 10_000)
        expected = sorted((place.entry, place.row) for place, *_ in naive(written, Wanted()))
        assert [(one.place.entry, one.row) for one in whole.items] == expected and whole.total == len(expected)
        some = lists.news(written[1][0], 50)
        assert [(one.place.entry, one.row) for one in some.items] == expected[-50:]
        assert some.total == sum(len(batch) for _, batch in written[2:])
        assert lists.news(whole.last, 10) == News((), 0, whole.last)


def _every() -> Wanted:
    return Wanted(EVER_NS, NEVER_NS)


DECISION_LIST_CHECKS = (
    an_empty_journal_has_no_decisions, every_filter_finds_what_a_plain_search_finds,
    decisions_that_come_meanwhile_do_not_move_the_pages, a_list_without_patience_comes_to_its_end_too,
    decisions_written_while_nobody_looked_are_listed, an_entity_has_the_counts_of_its_decisions,
    an_entity_named_by_a_text_is_found_by_it, news_are_the_decisions_behind_an_entry,
)  # fmt: skip
