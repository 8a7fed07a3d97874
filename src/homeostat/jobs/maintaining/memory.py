"""The memory of the maintenance loop between two steps, as bytes: its place in the journal, and all that it knows.

A CRC-32 of the compressed bytes shows damage. SHA-256 of all the bytes took as long as all other parts of a save.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from zlib import crc32

import numpy as np

from homeostat.adapters.disk.snapshots import decode, encode
from homeostat.adapters.journals.compression import LZ4, pack, unpack
from homeostat.maintain.contracts import Stateful
from homeostat.maintain.loop import MaintenanceLoop
from homeostat.maintain.ticks import TickForm, TickReader
from homeostat.ports import Snapshot
from homeostat.records.arrays import State
from homeostat.records.software import VERSION

FORM = 4  # Counts the changes of what a memory of the same app means.
_MAGIC = b"HMSTLOOP"
_CHECK_BYTES = 4


@dataclass(frozen=True, slots=True)
class Place:
    """The place that the loop has reached.

    entry, digest : the last journal entry that it has read, and the digest of its content
    seen : the last change of incidents by others that it knows of
    coded : the digest of the secret that codes the journal's texts: each journal has its own
    meaning : of its figures and ticks; a memory of another meaning can't be used
    ticks, signals : how many there were
    reached_ns : the end of the last tick, in event time
    apart_ns : how far event time was behind the clock when events came last; None where that is not known
    letters_at : the place in the file of dead letters
    """

    entry: int = 0
    digest: str = ""
    seen: int = 0
    coded: str = ""
    meaning: str = ""
    ticks: int = 0
    signals: int = 0
    reached_ns: int = 0
    apart_ns: int | None = None
    letters_at: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """A place with the state of reader and loop there."""

    place: Place
    state: State

    def packed(self) -> bytes:
        """Its bytes, the same for the same memory."""
        about = np.frombuffer(json.dumps(asdict(self.place)).encode(), np.uint8)
        state = {"place": about, **self.state}
        codec, stored = pack(encode(Snapshot(self.place.entry, state, self.place.digest, VERSION), sealed=False), LZ4)
        return b"".join((_MAGIC, bytes([FORM, codec]), crc32(stored).to_bytes(_CHECK_BYTES, "little"), stored))

    def restore(self, reader: TickReader, loop: MaintenanceLoop, replayer: Stateful | None = None) -> None:
        """Let all of them go on from here. Raises KeyError, ValueError, IndexError or TypeError."""
        reader.restore(_part(self.state, "reader/"))
        loop.restore(_part(self.state, "loop/"))
        if replayer is not None:
            replayer.restore(_part(self.state, "replayer/"))


def memory_of(place: Place, reader: TickReader, loop: MaintenanceLoop, replayer: Stateful | None = None) -> Memory:
    """The memory at a place."""
    parts = [("reader/", reader.state()), ("loop/", loop.state())]
    if replayer is not None:
        parts.append(("replayer/", replayer.state()))
    return Memory(place, {mark + name: value for mark, state in parts for name, value in state.items()})


def unpacked(stored: bytes) -> Memory:
    """The memory of its bytes. Raises ValueError on any others."""
    start = len(_MAGIC) + 2 + _CHECK_BYTES
    if not stored.startswith(_MAGIC) or len(stored) < start:
        raise ValueError("it is no memory of a maintenance loop")
    form, codec, check = stored[len(_MAGIC)], stored[len(_MAGIC) + 1], stored[start - _CHECK_BYTES : start]
    if form != FORM:
        raise ValueError("another version wrote it")
    body = stored[start:]
    if crc32(body) != int.from_bytes(check, "little"):
        raise ValueError("it is damaged: its checksum does not fit")
    state = decode(unpack(codec, body), sealed=False).state
    try:
        found = json.loads(state.pop("place").tobytes())
        return Memory(Place(**{one.name: found[one.name] for one in fields(Place)}), state)
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("its place can't be read") from error


def meaning_of(form: TickForm, loop: MaintenanceLoop) -> str:
    """The meaning of a memory: the figures that are taken, and the names and spans of ticks."""
    words = form.words
    parts = (
        [repr(one) for one in loop.series], [one.name for one in loop.monitors],
        words.entities, words.fields, words.actions, form.features, form.scorers, repr(form.ages), form.span_ns,
        form.rows_max, form.remembered_max, form.known_features,
    )  # fmt: skip
    return sha256(json.dumps(parts).encode()).hexdigest()


def coded_by(form: TickForm) -> str:
    """The digest of the secret that codes a journal's texts."""
    return sha256(form.coding.secret).hexdigest()


def _part(state: State, mark: str) -> State:
    return {name.removeprefix(mark): value for name, value in state.items() if name.startswith(mark)}
