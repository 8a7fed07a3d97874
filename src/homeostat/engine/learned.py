"""Learned states as bytes that are named by their hash: arrays, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from homeostat.adapters.disk.snapshots import decode, encode
from homeostat.ports import Snapshot
from homeostat.records.arrays import State
from homeostat.records.meaning import Meaning

_PART = "learned"


@dataclass(frozen=True, slots=True)
class Taught:
    """One part's learning.

    meaning : of the part whose learning it is; another part can't use it
    """

    learned: State
    meaning: Meaning


def taught_bytes(taught: Taught) -> bytes:
    """The bytes that are stored: the same for the same learning, wherever and whenever it was learned."""
    return encode(Snapshot(0, taught.learned, meaning={_PART: Meaning(taught.meaning.digest)}))


def read_taught(content: bytes, digest: str) -> Taught:
    """The learning of such bytes.

    digest : SHA-256 of the bytes as a change names it, as hexadecimal
    Raises ValueError where they have another hash, or are damaged.
    """
    if sha256(content).hexdigest() != digest:
        raise ValueError(f"the learned state {digest[:12]} was altered: its hash is another one")
    found = decode(content)
    if _PART not in found.meaning:
        raise ValueError(f"{digest[:12]} is no learned state")
    return Taught(found.state, found.meaning[_PART])
