"""Decisions as a few columns by which they are found: a page of up to some ten thousand, in order of event time.

A search reads only the columns that it asks for, and whole columns at a time: looking at ten million decisions takes a
fraction of a second. A row takes 31 bytes, and 8 for each entity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.guards.plan import BY_NAME
from homeostat.ports.decision_lists import Place, Wanted
from homeostat.records.arrays import Int
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row
from homeostat.records.identity import ABSENT, Identity, first_rows
from homeostat.records.vocabulary import Vocabulary

Array = NDArray[Any]
FORMS: Mapping[str, str] = {
    "time": "<i8", "entry": "<u4", "row": "<u4", "risk": "<f8", "action": "<u2", "rule": "<u2", "version": "<u2",
    "degraded": "<u1",
}  # fmt: skip
"""The columns of every page, and their types; `entry` counts from the page's first. Those of entities are beside."""
KEY, REST = "key:", "rest:"
KEY_FORM = "<u4"
# Odd numbers, so that different codes have different products: the fractions of the golden ratio, and of another one.
_SPREAD, _TURN = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True, slots=True)
class Head:
    """The facts of a page that say whether a search has to look into it.

    first, last : the journal entries that it covers
    since_ns, until_ns : the first and the last event time in it
    actions, rules, versions : the names that its numbers stand for
    entities : the kinds of entities that it has columns of
    digest : those of the first and the last entry, by which a journal is known that is not the one that was indexed
    """

    first: int
    last: int
    rows: int
    since_ns: int
    until_ns: int
    actions: tuple[str, ...]
    rules: tuple[str, ...]
    versions: tuple[str, ...]
    entities: tuple[str, ...]
    digest: str = ""


Read = Callable[[str], Array]
"""Gives a column of a page by its name."""

Page = tuple[Head, Mapping[str, Array]]
EVERY_ENTRY = (0, (1 << 63) - 1)


def form_of(name: str) -> np.dtype[Any]:
    """The type of a column."""
    return np.dtype(FORMS.get(name, KEY_FORM))


class _Names:
    """Numbers for names, in order of appearance."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def number(self, name: str) -> int:
        return self.known.setdefault(name, len(self.known))

    def numbers(self, index: Array, name_of: Callable[[int], str]) -> Array:
        """(n,) the numbers of the names that `index` (n,) stands for."""
        values, back = np.unique(index, return_inverse=True)
        own = np.array([self.number(name_of(int(value))) for value in values], "<u2")
        return own[back] if len(values) else own

    def renumbered(self, numbers: Array, names: Sequence[str]) -> Array:
        """(n,) the own numbers of names that have other numbers in another page."""
        found: Array = np.array([self.number(name) for name in names], "<u2")[numbers]
        return found


def rule_name(rule: int, words: Vocabulary) -> str:
    """The name by which a list finds what decided; empty where the policy did.

    >>> rule_name(-2, Vocabulary()), rule_name(-1, Vocabulary())
    ('breaker', '')
    """
    return words.rule(rule) if rule >= 0 else BY_NAME.get(rule, "")


def prints_of(codes: Int, checks: Int) -> tuple[Array, Array]:
    """(n,) and (n,) two words of 32 bits that stand for keys: different integers never have the same two."""
    mixed = codes.astype(np.uint64) * _SPREAD ^ checks.astype(np.uint64) * _TURN
    return (mixed >> np.uint64(32)).astype(KEY_FORM), mixed.astype(KEY_FORM)


_ABSENT = prints_of(np.array([ABSENT]), np.zeros(1, np.int64))


def page_of(first: int, last: int, entries: Iterable[tuple[int, DecisionBatch]]) -> Page:
    """The page of the decisions in some entries, which are all those from `first` to `last`."""
    actions, rules, versions = _Names(), _Names(), _Names()
    parts: list[dict[str, Array]] = []
    for entry, batch in entries:
        part = _part(batch, entry - first, actions, rules, versions)
        if len(part["time"]):
            parts.append(part)
    return _page(first, last, parts, actions, rules, versions)


def merged(pages: Sequence[Page]) -> Page:
    """Pages of entries that follow on each other, in order, as one."""
    actions, rules, versions = _Names(), _Names(), _Names()
    first, last = pages[0][0].first, pages[-1][0].last
    parts: list[dict[str, Array]] = []
    for head, columns in pages:
        if head.rows:
            named = {
                "action": actions.renumbered(columns["action"], head.actions),
                "rule": rules.renumbered(columns["rule"], head.rules),
                "version": versions.renumbered(columns["version"], head.versions),
            }
            parts.append({**columns, **named, "entry": columns["entry"] + np.uint32(head.first - first)})
    return _page(first, last, parts, actions, rules, versions)


def _page(
    first: int, last: int, parts: Sequence[Mapping[str, Array]], actions: _Names, rules: _Names, versions: _Names
) -> Page:
    kinds = sorted({name[len(KEY) :] for part in parts for name in part if name.startswith(KEY)})
    names = [*FORMS, *(start + kind for kind in kinds for start in (KEY, REST))]
    whole = {name: _joined(name, parts) for name in names}
    order = np.lexsort((whole["row"], whole["entry"], whole["time"]))
    columns = {name: column[order] for name, column in whole.items()}
    time_ns = columns["time"]
    since, until = (int(time_ns[0]), int(time_ns[-1])) if len(order) else (0, 0)
    head = Head(
        first, last, len(order), since, until, tuple(actions.known), tuple(rules.known), tuple(versions.known),
        tuple(kinds),
    )  # fmt: skip
    return head, columns


def _joined(name: str, parts: Sequence[Mapping[str, Array]]) -> Array:
    form = form_of(name)
    # Where a batch knows no such entity, its rows have what stands for an absent one, which none asks for.
    absent = _ABSENT[0 if name.startswith(KEY) else 1][0]
    own = [part[name] if name in part else np.full(len(part["time"]), absent, form) for part in parts]
    return np.concatenate(own) if own else np.zeros(0, form)


def _part(batch: DecisionBatch, entry: int, actions: _Names, rules: _Names, versions: _Names) -> dict[str, Array]:
    events, words = batch.events, batch.words
    at = np.flatnonzero(events.kind != Row.OUTCOME)
    if len(at) > 1:  # An id that comes twice in one batch counts where it comes first.
        at = at[np.unique(first_rows(events.ids[at]))]
    degraded = (batch.fallback[at] != 0) | np.isnan(batch.scores.values[at]).any(axis=1)
    made = np.zeros(len(at), np.int64) if batch.arm is None else batch.arm[at].astype(np.int64)
    part = {
        "time": events.time_ns[at], "entry": np.full(len(at), entry, "<u4"), "row": at.astype("<u4"),
        "risk": batch.fused.risk[at], "action": actions.numbers(batch.ruling.action[at], words.action),
        "rule": rules.numbers(batch.ruling.rule[at], lambda rule: rule_name(rule, words)),
        "version": versions.numbers(made, lambda arm: batch.canary if arm else batch.version),
        "degraded": degraded.astype("<u1"),
    }  # fmt: skip
    for column in range(events.keys.shape[1]):
        kind = words.entities[column][0] if column < len(words.entities) else f"#{column}"
        key, rest = prints_of(events.keys[at, column], events.key_checks[at, column])
        part |= {KEY + kind: key, REST + kind: rest}
    return part


def matching(
    head: Head,
    read: Read,
    wanted: Wanted,
    key: Identity | None,
    below: Place | None = None,
    entries: tuple[int, int] = EVERY_ENTRY,
) -> Int:
    """(m,) the rows of a page that are asked for, in order of event time.

    key : the identity of the entity that is asked for; None where none is
    below : only rows that stand below this place
    entries : only rows of the entries from the first to the second
    """
    none: Int = np.zeros(0, np.int64)
    until = wanted.until_ns if below is None else min(wanted.until_ns, below.time_ns + 1)
    if not head.rows or head.until_ns < wanted.since_ns or head.since_ns >= until:
        return none
    start, stop = 0, head.rows
    if head.since_ns < wanted.since_ns:
        start = int(np.searchsorted(read("time"), wanted.since_ns, "left"))
    if head.until_ns >= until:
        stop = int(np.searchsorted(read("time"), until, "left"))
    if start >= stop:
        return none
    fits = np.ones(stop - start, np.bool_)
    for name, names, asked in (
        ("action", head.actions, wanted.actions), ("rule", head.rules, wanted.rules),
        ("version", head.versions, wanted.versions),
    ):  # fmt: skip
        if asked:
            numbers = [number for number, one in enumerate(names) if one in asked]
            if not numbers:
                return none
            if len(numbers) < len(names):
                fits &= np.isin(read(name)[start:stop], np.array(numbers, "<u2"))
    if wanted.entity is not None and key is not None:
        kind = wanted.entity[0]
        if kind not in head.entities:
            return none
        first, second = (int(one[0]) for one in prints_of(np.array([key[0]]), np.array([key[1]])))
        fits &= read(KEY + kind)[start:stop] == first
        if fits.any():
            fits &= read(REST + kind)[start:stop] == second
    if wanted.risk_min is not None and fits.any():
        fits &= read("risk")[start:stop] >= wanted.risk_min
    if wanted.degraded is not None and fits.any():
        fits &= read("degraded")[start:stop] == wanted.degraded
    rows: Int = np.flatnonzero(fits) + start
    oldest, newest = entries
    if len(rows) and (head.first < oldest or head.last > newest):
        own = read("entry")[rows].astype(np.int64) + head.first
        rows = rows[(own >= oldest) & (own <= newest)]
    if below is not None and len(rows) and head.until_ns >= below.time_ns:
        rows = rows[_stands_below(head, read, rows, below)]
    return rows


def _stands_below(head: Head, read: Read, rows: Int, below: Place) -> NDArray[np.bool_]:
    time_ns, entry = read("time")[rows], read("entry")[rows].astype(np.int64) + head.first
    earlier: NDArray[np.bool_] = time_ns < below.time_ns
    same = (entry < below.entry) | ((entry == below.entry) & (read("row")[rows] < below.row))
    found: NDArray[np.bool_] = earlier | ((time_ns == below.time_ns) & same)
    return found


def places_of(head: Head, read: Read, rows: Int) -> list[Place]:
    """(m,) where rows of a page stand."""
    entry = read("entry")[rows].astype(np.int64) + head.first
    return [
        Place(*one) for one in zip(read("time")[rows].tolist(), entry.tolist(), read("row")[rows].tolist(), strict=True)
    ]
