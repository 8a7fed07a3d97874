"""Lists of recorded decisions, the newest first, by what they decided, of whom and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from homeostat.errors import HomeostatError
from homeostat.records.decisions import DecisionBatch

EVER_NS, NEVER_NS = -(1 << 63), (1 << 63) - 1


class DecisionListsError(HomeostatError):
    """The index of decisions is another app's, another version's, or damaged; the text says which."""

    why = "an index is read by the app and a version that know its form, and only undamaged"
    remedy = "Remove decisions.db from the data folder: it is made again from the journal"


class Place(NamedTuple):
    """Where a decision stands in a list: event time, journal entry, row of the entry. The newest has the highest."""

    time_ns: int
    entry: int
    row: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """The decisions that are asked for. Those that fit every part are listed; an empty part fits all.

    since_ns, until_ns : event time in [since, until)
    actions, rules, versions : one of these names; rules are `breaker` and `fallback`, too, and "" where none decided
    entity : the kind and the key of an entity
    risk_min : a risk of at least this
    degraded : whether some part did not answer; None for either
    """

    since_ns: int = EVER_NS
    until_ns: int = NEVER_NS
    actions: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    entity: tuple[str, str] | None = None
    risk_min: float | None = None
    degraded: bool | None = None


class Listed(NamedTuple):
    """A decision of a list, as its place, its batch and the row in that."""

    place: Place
    batch: DecisionBatch
    row: int


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """A page of a list.

    items : the newest first
    following : where the next page begins, below this place; None where nothing older fits
    as_of : the last journal entry that was looked at
    scanned_ns : the event time down to which all is listed, where the search ended early; None where it did not
    kept_since_ns : the event time with which the oldest entry that is kept begins, where retention has removed older
        ones; None where it has not
    """

    items: tuple[Listed, ...]
    following: Place | None
    as_of: int
    scanned_ns: int | None
    kept_since_ns: int | None


@dataclass(frozen=True, slots=True)
class EntityCounts:
    """The decisions on one entity.

    actions : how many decisions took each action
    degraded : how many of them were made while some part did not answer
    first_ns, last_ns : event times of the first and the last one; None where there is none
    scanned_ns, kept_since_ns : see `DecisionPage`
    """

    actions: Mapping[str, int]
    degraded: int
    first_ns: int | None
    last_ns: int | None
    scanned_ns: int | None
    kept_since_ns: int | None


@dataclass(frozen=True, slots=True)
class News:
    """The decisions of the journal entries behind one.

    items : in order of the entries, the newest ones where there are many
    total : how many there are, counted in the newest 1,000 entries
    last : the last entry that was looked at
    """

    items: tuple[Listed, ...]
    total: int
    last: int


class DecisionLists(Protocol):
    """Lists the decisions of one journal. May be used by several threads.

    Every method raises Unavailable where its store fails, JournalError where an entry is damaged, and
    DecisionListsError where the index is.
    """

    def page(
        self, wanted: Wanted, limit: int, below: Place | None = None, as_of: int | None = None, patience_s: float = 1.0
    ) -> DecisionPage:
        """Up to `limit` decisions, the newest first.

        below : only those that stand below this place
        as_of : only those up to this journal entry; None for all that are there by now
        patience_s : about how long to search before what was found is given
        """
        ...

    def counts(self, entity: tuple[str, str], patience_s: float = 1.0) -> EntityCounts:
        """How often, when and how was decided on an entity. See `page`."""
        ...

    def news(self, after: int, most: int) -> News:
        """Up to `most` decisions of the entries behind `after`, as they are in the journal now."""
        ...

    def close(self) -> None:
        """Let go of files, servers and threads."""
        ...
