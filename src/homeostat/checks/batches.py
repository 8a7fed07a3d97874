"""Small, valid decision and outcome batches, made from a seed, for the conformance suites."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from homeostat.records.bodies import ChangeBatch
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.features import Features
from homeostat.records.identity import Coding, Ids, IdTexts, is_hashed
from homeostat.records.vocabulary import Vocabulary

CODING = Coding.of_seed(0)


def decisions(
    ids: list[int | str],
    seed: int = 0,
    features: int = 5,
    scorers: int = 2,
    actions: int = 3,
    start_ns: int = 0,
    coding: Coding | None = None,
) -> DecisionBatch:
    """Decisions on events of these ids, a second apart; two entities and one field, awkward floats among the values."""
    rng = np.random.default_rng([seed, len(ids)])
    n = len(ids)
    own = (CODING if coding is None else coding).ids(ids)
    values = rng.choice([0.0, -0.0, 1.0, np.nan, np.inf, 5e-324, 1 / 3], (n, features))
    events = EventBatch(
        own.code, start_ns + np.arange(n, dtype=np.int64) * 10**9, rng.integers(0, 9, (n, 2)), rng.random((n, 1)),
        rng.choice([0.0, 1.0, np.nan], n), rng.integers(0, 2, n).astype(np.uint8),
        _texts(own, ids), own.check,
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


def with_canary(batch: DecisionBatch) -> DecisionBatch:
    """The same decisions, of which a canary made every third."""
    arm = (np.arange(len(batch)) % 3 == 1).astype(np.uint8)
    return replace(batch, canary=f"{batch.version}+canary", arm=arm)


def words_of(actions: int = 3, rules: int = 4) -> Vocabulary:
    """The names that such decisions are made in."""
    return Vocabulary(
        (("customer", ()), ("terminal", ())), (("amount", "number"),), tuple(f"action_{k}" for k in range(actions)),
        tuple((f"rule_{k}", f"Rule {k} holds." if k % 2 else None) for k in range(rules)), "checks",
    )  # fmt: skip


def outcomes(ids: list[int | str], seed: int = 0, known_ns: int = 10**12, coding: Coding | None = None) -> OutcomeBatch:
    """Outcomes of events of these ids."""
    rng = np.random.default_rng([seed, len(ids)])
    own = (CODING if coding is None else coding).ids(ids)
    label = rng.integers(0, 2, len(ids)).astype(np.float64)
    known = np.full(len(ids), known_ns, np.int64)
    return OutcomeBatch(own.code, label, known, rng.random(len(ids)), _texts(own, ids), id_check=own.check)


def _texts(own: Ids, ids: list[int | str]) -> IdTexts:
    return {one: str(key) for one, key in zip(own.tolist(), ids, strict=True) if is_hashed(one[0])}


def of_one_code(seed: int = 0) -> DecisionBatch:
    """Decisions on events whose ids, and whose first entities, have one code: only their checks tell them apart."""
    batch = decisions(["a", "b", "c"], seed)
    code, checks = int(batch.events.id_code[0]), batch.events.id_check
    keys, key_checks = batch.events.keys.copy(), batch.events.key_checks.copy()
    keys[:, 0], key_checks[:, 0] = code, checks
    texts = {(code, check): text for check, text in zip(checks.tolist(), "abc", strict=True)}
    events = replace(batch.events, id_code=np.full(3, code), keys=keys, key_checks=key_checks, texts=texts)
    return replace(batch, events=events)


def changes(*numbers: int) -> ChangeBatch:
    """Changes of these numbers."""
    return ChangeBatch(tuple(
        Change(ChangeKind.THRESHOLD, "block", {"at": 0.5 + k / 64}, "ann", f"reason \u00e9 {k}", f"key-{k}", number=k,
               at_ns=1_700_000_000_000_000_000 + k, before=None if k % 2 else {"at": 0.5})
        for k in numbers
    ))  # fmt: skip


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
