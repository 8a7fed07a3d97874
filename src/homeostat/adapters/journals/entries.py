"""Entries of a journal, whatever keeps them: how large they are, what is known of them, and their bodies."""

from __future__ import annotations

from abc import ABC, abstractmethod

from homeostat.adapters.journals import compression
from homeostat.errors import HomeostatError
from homeostat.records import codec
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import Coding, Identity, Ids, is_called
from homeostat.records.schemas import Schemas

PIECE_ROWS = 2048  # Reading one decision out of a piece takes about 2 ms; the columns still compress well.


# As much of a stored body as `took_us_of` needs: one that is not compressed need not be read whole.
TOOK_OF_BODY = "CASE codec WHEN 0 THEN substr(body, 1, 64) ELSE body END"


class JournalError(HomeostatError):
    """The data is not a journal, is another app's or another version's, or its bytes are damaged."""

    why = "a journal is read by the app and a version that know its form, and only undamaged"
    remedy = "Name the right folder, or restore the journal from a backup"


def decoded(
    where: str, schemas: Schemas, sequence: int, stored_as: int, stored: bytes, checked_each: int = 1
) -> Body:  # fmt: skip
    """The batch of an entry. Raises JournalError where its bytes are damaged, or its schema is not kept.

    checked_each : the digest of each entry whose number is a multiple of this is checked
    """
    try:
        return codec.decode(compression.unpacked(stored_as, stored), schemas, sequence % checked_each == 0)
    except ValueError as error:
        raise JournalError(f"{where}: entry {sequence}: {error}") from error


def beside_body(piece: Body) -> tuple[int, int, int, int]:
    """The columns of an entry beside its body: kind, rows, first and last time."""
    if isinstance(piece, ChangeBatch):
        times = [change.at_ns for change in piece.changes]
        return codec.CHANGES, len(times), min(times, default=0), max(times, default=0)
    if isinstance(piece, DecisionBatch):
        kind, time_ns = codec.DECISIONS, piece.events.time_ns
    else:
        kind, time_ns = codec.OUTCOMES, piece.known_ns
    rows = len(time_ns)
    if rows == 1:
        first = last = int(time_ns[0])
    else:
        first, last = (int(time_ns.min()), int(time_ns.max())) if rows else (0, 0)
    return kind, rows, first, last


def took_us_of(where: str, sequence: int, stored_as: int, start: bytes) -> float:
    """How long an entry's batch took, of its TOOK_OF_BODY. Raises JournalError where its bytes are damaged."""
    try:
        return codec.took_us(compression.unpack(stored_as, start))
    except ValueError as error:
        raise JournalError(f"{where}: entry {sequence}: {error}") from error


class ById(ABC):
    """A journal that finds one decision as it finds many.

    checked_each : `read` checks the digest of each entry whose number is a multiple of this: of all, unless a reader
        that only watches says otherwise
    """

    checked_each = 1

    @property
    @abstractmethod
    def coding(self) -> Coding:
        """How the texts of ids and keys become codes."""

    @abstractmethod
    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """See `Journal`."""

    def find(self, event_id: Identity, text: str | None = None) -> tuple[DecisionBatch, int] | None:
        """The decision of an event id as its batch and row; None if never decided. Raises what `find_all` raises.

        text : the id's own text, where known; another event whose hash is the same is then not taken for it.
        """
        (found,) = self.find_all(Ids.of([event_id]))
        return None if found is None or not is_called(text, event_id, found[0].events.texts) else found

    def find_text(self, text: str) -> tuple[DecisionBatch, int] | None:
        """The same for an id as people write it."""
        return self.find(self.coding.identify(text), text)
