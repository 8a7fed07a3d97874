"""Decisions of a challenger in shadow: those of one journal entry, row for row beside the champion's."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Bytes, Float, Mask, Small
from homeostat.records.decisions import DecisionBatch

_HEAD = struct.Struct("<IH")
_LEVEL = 1  # Decisions are written once and read seldom; the propensities of most are alike.


@dataclass(frozen=True, slots=True)
class Shadowed:
    """`n` decisions that a version would have made.

    entry : the journal entry that holds the champion's
    risk : (n,); propensity : (n, actions) of its proposals
    action : (n,) index into the app's actions; rule : (n,) as in `Ruling`
    explored, fallback : (n,) as in `Proposal`, `DecisionBatch`
    """

    entry: int
    risk: Float
    propensity: Float
    action: Small
    rule: Small
    explored: Bytes
    fallback: Bytes

    def __len__(self) -> int:
        return len(self.risk)

    @classmethod
    def of(cls, entry: int, made: DecisionBatch) -> Shadowed:
        """Of decisions that a loop made."""
        return cls(
            entry, made.fused.risk, made.proposal.propensity, made.ruling.action, made.ruling.rule,
            made.proposal.explored, made.fallback,
        )  # fmt: skip

    def rows(self, at: Mask) -> Shadowed:
        """The rows where a mask (n,) holds."""
        if at.all():
            return self
        return Shadowed(
            self.entry, self.risk[at], self.propensity[at], self.action[at], self.rule[at], self.explored[at],
            self.fallback[at],
        )  # fmt: skip

    def packed(self) -> bytes:
        """Its bytes."""
        columns = (
            self.risk.astype("<f8"), self.propensity.astype("<f8"), self.action.astype("<i2"),
            self.rule.astype("<i2"), self.explored.astype("u1"), self.fallback.astype("u1"),
        )  # fmt: skip
        body = b"".join(np.ascontiguousarray(column).tobytes() for column in columns)
        return _HEAD.pack(len(self), self.propensity.shape[1]) + zlib.compress(body, _LEVEL)


def unpacked(entry: int, data: bytes) -> Shadowed:
    """The decisions of `packed`. Raises ValueError where the bytes are damaged.

    >>> one = np.zeros(1, np.int16)
    >>> kept = Shadowed(7, np.array([0.5]), np.array([[0.9, 0.1]]), one, one - 1, one.astype("u1"), one.astype("u1"))
    >>> unpacked(7, kept.packed()).propensity.tolist()
    [[0.9, 0.1]]
    """
    try:
        n, actions = _HEAD.unpack_from(data)
        size = n * (8 + 8 * actions + 2 + 2 + 1 + 1)
        unpacker = zlib.decompressobj()
        body = unpacker.decompress(data[_HEAD.size :], size + 1)
    except (struct.error, zlib.error) as error:
        raise ValueError(f"the decisions of a challenger are damaged: {error}") from error
    if len(body) != size or not unpacker.eof:
        raise ValueError("the decisions of a challenger are damaged: their length is another")
    parts, start = [], 0
    for kind, width in (("<f8", 1), ("<f8", actions), ("<i2", 1), ("<i2", 1), ("u1", 1), ("u1", 1)):
        parts.append(np.frombuffer(body, kind, n * width, start))
        start += parts[-1].nbytes
    risk, propensity, action, rule, explored, fallback = parts
    return Shadowed(entry, risk, propensity.reshape(n, actions), action, rule, explored, fallback)
