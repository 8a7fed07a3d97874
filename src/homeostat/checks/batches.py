"""Small, valid decision and outcome batches, made from a seed, for the conformance suites."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.features import Features
from homeostat.records.identity import code_of
from homeostat.records.vocabulary import Vocabulary


def decisions(
    ids: list[int | str], seed: int = 0, features: int = 5, scorers: int = 2, actions: int = 3, start_ns: int = 0
) -> DecisionBatch:
    """Decisions on events of these ids, a second apart; two entities and one field, awkward floats among the values."""
    rng = np.random.default_rng([seed, len(ids)])
    n = len(ids)
    codes = np.array([code_of(key) for key in ids], np.int64)
    values = rng.choice([0.0, -0.0, 1.0, np.nan, np.inf, 5e-324, 1 / 3], (n, features))
    events = EventBatch(
        codes, start_ns + np.arange(n, dtype=np.int64) * 10**9, rng.integers(0, 9, (n, 2)), rng.random((n, 1)),
        rng.choice([0.0, 1.0, np.nan], n), rng.integers(0, 2, n).astype(np.uint8),
        {code: key for code, key in zip(codes.tolist(), ids, strict=True) if isinstance(key, str)},
    )  # fmt: skip
    return DecisionBatch(
        events,
        Features(tuple(f"feature_{k}" for k in range(features)), values, rng.integers(0, 4, (n, features), np.uint8)),
        Scores(tuple(f"scorer_{k}" for k in range(scorers)), rng.random((n, scorers)), rng.random((n, scorers)),
               rng.integers(0, 8, n, np.uint8)),
        Fused(rng.random(n), rng.normal(size=(n, scorers))),
        Proposal(rng.integers(0, actions, n).astype(np.int16), rng.random((n, actions)),
                 rng.integers(0, 2, n, np.uint8), np.zeros(n, np.uint8)),
        Ruling(rng.integers(0, actions, n).astype(np.int16), rng.integers(-3, 4, n).astype(np.int16),
               rng.integers(0, 1 << 63, n, np.uint64)),
        rng.integers(0, 64, n, np.uint8),
        f"version-{seed}",
        float(rng.random()),
        words_of(actions),
    )  # fmt: skip


def words_of(actions: int = 3, rules: int = 4) -> Vocabulary:
    """The names that such decisions are made in."""
    return Vocabulary(
        (("customer", ()), ("terminal", ())), (("amount", "number"),), tuple(f"action_{k}" for k in range(actions)),
        tuple((f"rule_{k}", f"Rule {k} holds." if k % 2 else None) for k in range(rules)), "checks",
    )  # fmt: skip


def outcomes(ids: list[int | str], seed: int = 0, known_ns: int = 10**12) -> OutcomeBatch:
    """Outcomes of events of these ids."""
    rng = np.random.default_rng([seed, len(ids)])
    codes = np.array([code_of(key) for key in ids], np.int64)
    texts = {code: key for code, key in zip(codes.tolist(), ids, strict=True) if isinstance(key, str)}
    label = rng.integers(0, 2, len(ids)).astype(np.float64)
    return OutcomeBatch(codes, label, np.full(len(ids), known_ns, np.int64), rng.random(len(ids)), texts)


def same(one: Any, other: Any) -> bool:
    """Whether two records hold the same, arrays to the last bit; how long they took may differ."""
    if is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)
            if field.name != "took_us"
        )  # fmt: skip
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    return bool(one == other)
