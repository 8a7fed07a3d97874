"""The answers to a whole batch are those to its rows, one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from homeostat.checks.batches import decisions
from homeostat.decide.guards.plan import BY_BREAKER, BY_FALLBACK, NO_RULE
from homeostat.engine.answers import answer, answers
from homeostat.records.decisions import Proposal, Ruling, Scores


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_batch_is_answered_as_its_rows_are(rows, seed):
    rng = np.random.default_rng(seed)
    made = decisions([*range(rows - 1), "text"][-rows:], seed)
    action = rng.integers(0, 3, rows).astype(np.int16)
    rule = rng.choice([NO_RULE, NO_RULE, BY_BREAKER, BY_FALLBACK, 0, 1], rows).astype(np.int16)
    hits = rng.choice([0, 0, 1, 2, 3], rows).astype(np.uint64)
    values = np.where(rng.random(made.scores.values.shape) < 0.2, np.nan, made.scores.values)
    propensity = rng.random((rows, 3))
    made = replace(
        made, ruling=Ruling(action, rule, hits), fallback=rng.choice([0, 0, 1, 32, 64 + 1], rows).astype(np.uint8),
        scores=Scores(made.scores.names, values, made.scores.confidence, made.scores.fallback),
        proposal=Proposal(
            rng.integers(0, 3, rows).astype(np.int16), propensity, rng.integers(0, 2, rows).astype(np.uint8),
            made.proposal.fallback,
        ),
    )  # fmt: skip
    found = list(answers(made))
    assert found == [answer(made, row) for row in range(rows)]
    assert [one["action_index"] for one in found] == action.tolist()
    assert [one["action"] for one in found] == [made.words.action(one["action_index"]) for one in found]
