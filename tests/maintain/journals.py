"""Small journals for the tests of the second loop: decisions with awkward times, outcomes and changes, from a seed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from homeostat.checks.batches import CODING, decisions, outcomes, words_of
from homeostat.maintain.open_decisions import Ages
from homeostat.maintain.ticks import TickForm
from homeostat.records.bodies import Body, ChangeBatch
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.rows import decisions_at

SPAN = 10_000


def form(**changed) -> TickForm:
    """The form of what `journal` makes: 5 features, 2 scorers, 3 actions of which the last censors."""
    base = TickForm(
        words_of(), tuple(f"feature_{k}" for k in range(5)), ("scorer_0", "scorer_1"), CODING,
        Ages(3 * SPAN, 6 * SPAN, True, (2,)), span_ns=SPAN, lateness_ns=SPAN // 2, label_delay_ns=2 * SPAN,
    )  # fmt: skip
    return replace(base, **changed)


def journal(seed: int, entries: int = 12, start: int = 5 * SPAN) -> list[Body]:
    """Entries of one to thirty rows; times wander forward, some far back."""
    rng = np.random.default_rng(seed)
    found: list[Body] = []
    now, next_id = start, 0
    for k in range(entries):
        n = int(rng.integers(1, 30))
        ids = list(range(next_id, next_id + n))
        next_id += n
        made = decisions(ids, seed=int(rng.integers(99)))
        steps = rng.integers(0, SPAN // 8, n)
        times = now + np.cumsum(steps) - rng.integers(0, 2 * SPAN, n) * (rng.random(n) < 0.1)
        now = int(now + steps.sum())
        label = np.where(rng.random(n) < 0.2, rng.integers(0, 2, n), np.nan)
        events = replace(made.events, time_ns=times, label=label, kind=np.zeros(n, np.uint8))
        found.append(replace(made, events=events, settings=k, version=f"version-{k // 4}"))
        if rng.random() < 0.5:
            some = rng.integers(0, next_id, 5).tolist()
            late = outcomes(some, seed=k, known_ns=now)
            found.append(replace(late, scheduled=bool(rng.random() < 0.5), known_ns=now + rng.integers(0, 3 * SPAN, 5)))
        if rng.random() < 0.3:
            found.append(
                ChangeBatch((Change(ChangeKind.LEARNING, "policy", {"on": False}, "ann", "odd", number=k + 1),))
            )
    return found


def cut(bodies: list[Body], rng: np.random.Generator) -> list[Body]:
    """The same entries in other pieces: decisions are cut, one row alone at times."""
    found: list[Body] = []
    for body in bodies:
        if isinstance(body, ChangeBatch) or not hasattr(body, "events"):
            found.append(body)
            continue
        edges = sorted({0, len(body), *rng.integers(0, len(body) + 1, 3).tolist()})
        for start, stop in pairwise(edges):
            part = decisions_at(body, slice(start, stop))
            found.append(replace(part, took_us=body.took_us * (stop - start) / len(body)))
    return found
