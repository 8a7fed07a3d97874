"""Lists of decisions by an index of columns beside the journal, which follows it and never makes an append wait.

The index is a shelf of pages (`decision_columns`), each of a run of journal entries. The newest entries are held in
memory until they are enough for a page. A journal that has grown without its index is indexed from the newest entry to
the oldest, so that the first rows come at once; until that has come to its end, a list says down to which time it is
complete. All of an index follows from the journal.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from homeostat.adapters.journals.column_reading import Columns
from homeostat.adapters.journals.decision_columns import (
    Array,
    Head,
    Page,
    Read,
    matching,
    merged,
    page_of,
    places_of,
)
from homeostat.adapters.journals.decision_stores import Entries, Shelf
from homeostat.adapters.process.standing import Standing
from homeostat.errors import HomeostatError, Unavailable
from homeostat.ports import Clock
from homeostat.ports.decision_lists import DecisionPage, EntityCounts, Listed, News, Place, Wanted
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row

_FOLLOW_ENTRIES = 512  # Read before a list is given, of those that came since the last look.
_NEWS_ENTRIES = 1_000
_PARTS = 16  # Pages of newest entries in memory before they are made one.
_LOOK_S = 0.5
_BUSY_S, _REST_S = 0.001, 0.002  # While the thread reads, decisions have the processor as often as not.
_LOOK_SHARE = 0.7  # Of the patience, for looking at columns; the rest is for reading the decisions that were found.


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is read at a time.

    page_rows, page_entries : of a page that is made of what the journal held already; a stop waits for one page
    seal_rows : of newest decisions in memory before they become a page; a restart reads so many again
    first_rows : read before the first list is given
    """

    page_rows: int = 65_536
    page_entries: int = 8_192
    seal_rows: int = 8_192
    first_rows: int = 2_048


@dataclass(slots=True)
class _Tail:
    """The newest entries, (after, last], in memory, as pages that follow on each other."""

    after: int
    last: int
    pages: list[Page] = field(default_factory=list)
    rows: int = 0

    def add(self, page: Page) -> None:
        self.pages.append(page)
        self.rows, self.last = self.rows + page[0].rows, page[0].last
        if len(self.pages) > _PARTS:
            self.pages = [merged(self.pages)]


class IndexedDecisions:
    """See `DecisionLists`.

    follows : whether a thread goes on making the index; it starts with the first list
    """

    def __init__(
        self, entries: Entries, shelf: Shelf, clock: Clock, follows: bool = True, sizes: Sizes = Sizes()
    ) -> None:  # fmt: skip
        self._entries, self._shelf, self._follows, self._sizes = entries, shelf, follows, sizes
        self._lock = threading.Lock()  # Of all that is below.
        self._heads: dict[int, Head] = {}
        self._columns = Columns(shelf)
        self._tail: _Tail | None = None
        self._oldest, self._since_ns = 1, 0
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._standing = Standing(logging.getLogger("homeostat").warning, clock, "the index of decisions goes on")

    def page(
        self, wanted: Wanted, limit: int, below: Place | None = None, as_of: int | None = None, patience_s: float = 1.0
    ) -> DecisionPage:
        """See `DecisionLists`."""
        begun = time.monotonic()
        with self._lock:
            tail, missing = self._look()
            until = tail.last if as_of is None else min(as_of, tail.last)
            floor = self._floor(missing)
            found, scanned = self._search(wanted, limit, below, until, floor, begun + _LOOK_SHARE * patience_s)
            kept_since = self._since_ns if self._oldest > 1 else None
        asked = found[:limit]
        items, looked_at = self._loaded(asked, begun + patience_s)
        following: Place | None = None
        if looked_at < len(asked) or len(found) > limit:
            following, scanned = asked[looked_at - 1], None
        elif scanned is not None:  # Nobody has looked at older ones: go on there.
            following = Place(scanned, 0, 0) if below is None else min(below, Place(scanned, 0, 0))
        return DecisionPage(tuple(items), following, until, scanned, kept_since)

    def counts(self, entity: tuple[str, str], patience_s: float = 1.0) -> EntityCounts:
        """See `DecisionLists`."""
        until_s = time.monotonic() + patience_s
        wanted, key = Wanted(entity=entity), self._entries.coding.identify(entity[1])
        actions: dict[str, int] = {}
        degraded, times = 0, []
        with self._lock:
            tail, missing = self._look()
            scanned = self._floor(missing)
            for head, read in self._pages():
                if time.monotonic() > until_s:
                    scanned = max(head.until_ns + 1, scanned or head.until_ns + 1)
                    break
                rows = matching(head, read, wanted, key, None, (self._oldest, tail.last))
                if len(rows):
                    for number, count in enumerate(np.bincount(read("action")[rows]).tolist()):
                        if count:
                            actions[head.actions[number]] = actions.get(head.actions[number], 0) + count
                    degraded += int(np.count_nonzero(read("degraded")[rows]))
                    times += read("time")[rows[[0, -1]]].tolist()
            kept_since = self._since_ns if self._oldest > 1 else None
        first, last = min(times, default=None), max(times, default=None)
        return EntityCounts(actions, degraded, first, last, scanned, kept_since)

    def news(self, after: int, most: int) -> News:
        """See `DecisionLists`. It asks the journal, and needs no index."""
        last = self._entries.last()
        sizes = self._entries.sizes(after, last, _NEWS_ENTRIES) if last > after else ()
        items: list[Listed] = []
        for entry, _ in sizes:
            batch = self._entries.find([entry]).get(entry)
            rows = [] if batch is None else np.flatnonzero(batch.events.kind != Row.OUTCOME).tolist()
            for row in reversed(rows[len(items) - most :]):
                assert batch is not None
                items.append(Listed(Place(batch.events.time_ns.item(row), entry, row), batch, row))
            if len(items) >= most:
                break
        return News(tuple(reversed(items)), max(len(items), sum(rows for _, rows in sizes)), last)

    def close(self) -> None:
        """See `DecisionLists`."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._shelf.close()
            self._entries.close()

    def index(self) -> None:
        """Make pages of what the journal holds and the index does not, the newest first. Raises what the stores raise.

        The newest entries stay in memory, unless they are enough for a page.
        """
        while not self._closed.is_set():
            with self._lock:
                tail, missing = self._look()
                if not missing and tail.last >= self._entries.last():
                    return
            if missing:
                after, until = missing[-1]
                first = self._first_of(after, until, self._sizes.page_entries, self._sizes.page_rows)
                page = page_of(first, until, self._gently(self._entries.read(first - 1, until)))
                with self._lock:
                    self._keep(*page)

    # Under the lock.

    def _look(self) -> tuple[_Tail, list[tuple[int, int]]]:
        """Take in what was written since; the newest entries, and the runs (after, until] below that no page covers."""
        last = self._entries.last()
        tail = self._tail
        if tail is None or tail.last < last:
            self._oldest, self._since_ns = self._entries.oldest()
        if tail is None:
            tail = self._begin(last)
        if self._follows and self._thread is None and not self._closed.is_set():
            self._thread = threading.Thread(target=self._go_on, name="decision-lists", daemon=True)
            self._thread.start()
        if last > tail.last:
            tail.add(self._next(tail.last, last))
        if tail.rows >= self._sizes.seal_rows:
            tail = self._sealed(tail, last)
        return tail, self._missing(tail)

    def _next(self, after: int, last: int) -> Page:
        """The next entries as a page, as many as are read without making a list wait."""
        taken: list[tuple[int, DecisionBatch]] = []
        rows, kept = 0, self._gently if threading.current_thread() is self._thread else iter
        for entry, batch in kept(self._entries.read(after, last)):
            taken.append((entry, batch))
            rows += len(batch)
            if rows >= self._sizes.seal_rows or len(taken) >= _FOLLOW_ENTRIES:
                return page_of(after + 1, entry, kept(iter(taken)))
        return page_of(after + 1, last, kept(iter(taken)))

    def _sealed(self, tail: _Tail, last: int) -> _Tail:
        """Put the newest entries on the shelf; those that have come since."""
        self._tail = _Tail(tail.last, tail.last)
        self._keep(*merged(tail.pages))
        return self._tail or self._begin(last)

    def _begin(self, last: int) -> _Tail:
        """The newest entries, for the first list; pages that others made may end before them."""
        self._heads = {head.first: head for head in self._shelf.heads()}
        newest = max(self._heads.values(), key=lambda head: head.last, default=None)
        if newest is not None and self._digest(newest) != newest.digest:
            self._columns.forget()
            self._shelf.drop()  # It is the index of another journal, or of one that was longer.
            self._heads, newest = {}, None
        indexed = 0 if newest is None else newest.last
        after = self._first_of(indexed, last, self._sizes.first_rows, self._sizes.first_rows) - 1
        self._tail = tail = _Tail(after, after)
        if last > after:
            tail.add(page_of(after + 1, last, self._entries.read(after, last)))
        return tail

    def _first_of(self, after: int, until: int, entries: int, rows: int) -> int:
        """The entry of (after, until] from which on there are so many, with so many rows; else the first."""
        sizes, count = self._entries.sizes(after, until, entries), 0
        for entry, own in sizes:
            count += own
            if count >= rows:
                return entry
        return sizes[-1][0] if len(sizes) == entries else after + 1

    def _missing(self, tail: _Tail) -> list[tuple[int, int]]:
        runs, at = [], self._oldest - 1
        for head in sorted(self._heads.values(), key=lambda head: head.first):
            if head.first - 1 > at:
                runs.append((at, head.first - 1))
            at = max(at, head.last)
        if tail.after > at:
            runs.append((at, tail.after))
        return runs

    def _floor(self, missing: Sequence[tuple[int, int]]) -> int | None:
        """The event time down to which all is known; None where that is all time."""
        sizes = self._entries.sizes(*missing[-1], 1) if missing else ()
        found = self._entries.find([sizes[0][0]]) if sizes else {}
        return max((int(batch.events.time_ns.max(initial=0)) + 1 for batch in found.values()), default=None)

    def _pages(self) -> list[tuple[Head, Read]]:
        """All pages, the one with the latest time first."""
        heads = sorted((head for head in self._heads.values() if head.rows), key=_latest, reverse=True)
        pages = list(zip(heads, self._columns.readers([head.first for head in heads]), strict=True))
        if self._tail is not None:
            pages += [(head, columns.__getitem__) for head, columns in self._tail.pages if head.rows]
        return sorted(pages, key=lambda page: page[0].until_ns, reverse=True)

    def _search(
        self, wanted: Wanted, limit: int, below: Place | None, as_of: int, floor: int | None, until_s: float
    ) -> tuple[list[Place], int | None]:
        """One place more than `limit`, the newest first; and the time down to which pages were searched, if not all."""
        key = None if wanted.entity is None else self._entries.coding.identify(wanted.entity[1])
        found: list[Place] = []
        scanned = floor if floor is not None and floor > wanted.since_ns else None
        top = min(Place(wanted.until_ns, 0, 0), below or Place(wanted.until_ns, 0, 0))
        for head, read in self._pages():
            if len(found) > limit and head.until_ns < found[-1].time_ns:
                break
            # A look that came no further than the last one would be asked for again without end.
            if time.monotonic() > until_s and Place(head.until_ns + 1, 0, 0) < top:
                scanned = max(head.until_ns + 1, scanned or head.until_ns + 1)
                break
            rows = matching(head, read, wanted, key, below, (self._oldest, as_of))
            if len(rows):
                newest = places_of(head, read, rows[-limit - 1 :])
                found = sorted([*found, *newest], reverse=True)[: limit + 1]
        if scanned is not None:
            found = [place for place in found if place.time_ns >= scanned]
        return found, scanned

    def _keep(self, head: Head, columns: Mapping[str, Array]) -> None:
        head = replace(head, digest=self._digest(head))
        if self._shelf.put(head, columns):
            self._heads[head.first] = head
        else:  # Another process was faster: the next look begins with its pages.
            self._heads, self._tail = {}, None
            self._columns.forget()

    def _digest(self, head: Head) -> str:
        return self._entries.digest(head.first) + self._entries.digest(head.last)

    # Not under it.

    def _loaded(self, places: Sequence[Place], until_s: float) -> tuple[list[Listed], int]:
        """The decisions at these places, as far as the time goes, and at how many of the places they are."""
        items: list[Listed] = []
        batches: dict[int, DecisionBatch] = {}
        for count, place in enumerate(places):
            if place.entry not in batches:
                if count and time.monotonic() > until_s:
                    return items, count
                batches |= self._entries.find([place.entry])
            batch = batches.get(place.entry)
            if batch is not None:
                items.append(Listed(place, batch, place.row))
        return items, len(places)

    def _gently(self, entries: Iterator[tuple[int, DecisionBatch]]) -> Iterator[tuple[int, DecisionBatch]]:
        """Entries with rests between, in which others have the processor. Raises Unavailable once all is closed."""
        begun = time.monotonic()
        for one in entries:
            yield one
            if self._follows and time.monotonic() - begun > _BUSY_S:
                if self._closed.wait(_REST_S):
                    raise Unavailable("the lists of decisions are closed")
                begun = time.monotonic()

    def _drop_removed(self) -> None:
        """Forget pages all of whose entries the journal has removed."""
        with self._lock:
            gone = [head.first for head in self._heads.values() if head.last < self._oldest]
            if gone:
                self._shelf.drop(self._oldest)
                for first in gone:
                    del self._heads[first]

    def _go_on(self) -> None:
        while not self._closed.is_set():
            trouble = ""
            try:
                self.index()
                self._drop_removed()
            except HomeostatError as error:
                trouble = str(error)
            except Exception as error:  # A fault of ours: lists go on to say what is indexed.
                trouble = f"the index of decisions stopped: {type(error).__name__}: {error}"
            if not self._closed.wait(_LOOK_S):
                self._standing.now(trouble)


def _latest(head: Head) -> int:
    return head.until_ns
