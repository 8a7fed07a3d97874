"""The contract of every fusion, policy and guard, whatever it is built on.

A plug-in's author calls each check with a way to build the stage and a `Sample` of what it will see::

    @pytest.mark.parametrize("check", POLICY_CHECKS, ids=lambda check: check.__name__)
    def test_my_policy(check):
        check(MyPolicy, sample(features=("amount", "count"), scorers=("a", "b"), actions=3))

Each check asserts; none needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from homeostat.decide.contracts import Fusion, Guard, Policy, Stateful
from homeostat.decide.proposals import checked
from homeostat.records.arrays import Float, Int, State
from homeostat.records.decisions import Experience, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.reasons import Fallback


@dataclass(frozen=True, slots=True)
class Sample:
    """`n` events as the stages see them, row for row, and outcomes to learn from in between.

    entities : columns of the events' keys
    """

    events: EventBatch
    features: Features
    scores: Scores
    fused: Fused
    proposal: Proposal
    fallback: Int
    chance: Float
    experience: Experience

    def __len__(self) -> int:
        return len(self.events)


def sample(
    features: Sequence[str], scorers: Sequence[str], actions: int, fields: int = 1, entities: int = 2,
    context: int = 0, n: int = 400, seed: int = 0,
) -> Sample:  # fmt: skip
    """Random rows: some scorers missing, ties and gaps in the features, any fallback.

    features : names; the first `fields` are the events' own
    context : features that the policy sees
    """
    rng = np.random.default_rng(seed)
    values = rng.choice([0.0, 1.0, 2.5, 60.0, 400.0], (n, len(features))) * rng.choice([1.0, rng.random()], (n, 1))
    time_ns = 10**18 + np.cumsum(rng.integers(0, 10**9, n))
    events = EventBatch(
        np.arange(1, n + 1), time_ns, rng.integers(0, 9, (n, entities)), values[:, :fields].copy(), np.full(n, np.nan),
        np.zeros(n, np.uint8),
    )  # fmt: skip
    score = np.where(
        rng.random((n, len(scorers))) < 0.2, np.nan, rng.choice([0.0, 1e-9, 0.3, 0.9, 1.0], (n, len(scorers)))
    )
    confidence = np.where(np.isnan(score), 0.0, rng.random((n, len(scorers))))
    risk = rng.choice([0.0, 1.0, 0.02, 0.5, rng.random()], n)
    propensity = np.full((n, actions), 1.0 / actions)
    bits = rng.choice([0, 0, 0, 0, *Fallback.NAMES], n)
    experience = Experience(
        time_ns, events.id_code, values[:, :context].copy(), score, risk, rng.integers(0, actions, n).astype(np.int16),
        rng.uniform(0.05, 1.0, n), rng.integers(0, 2, n).astype(np.float64), rng.uniform(0.0, 50.0, (n, actions)),
        rng.integers(0, 2, n).astype(np.uint8),
    )  # fmt: skip
    return Sample(
        events, Features(tuple(features), values, np.zeros(values.shape, np.uint8)),
        Scores(tuple(scorers), score, confidence, np.zeros(n, np.uint8)), Fused(risk, np.zeros(score.shape)),
        Proposal(experience.action[::-1].copy(), propensity, np.zeros(n, np.uint8), np.zeros(n, np.uint8)),
        bits.astype(np.int64), rng.random((n, 2)), experience,
    )  # fmt: skip


def part(record: Any, start: int, stop: int) -> Any:
    """Rows of a record; names and other values that have no rows stay as they are."""
    if hasattr(record, "slice"):
        return record.slice(start, stop)
    arrays = {f.name: getattr(record, f.name) for f in fields(record)}
    return replace(record, **{k: v[start:stop] for k, v in arrays.items() if isinstance(v, np.ndarray)})


# Each stage as a function of rows, so that what all stages promise is checked once.


def _fuse(stage: Fusion, s: Sample, start: int, stop: int) -> Fused:
    return stage.fuse(part(s.scores, start, stop))


def _propose(stage: Policy, s: Sample, start: int, stop: int) -> Proposal:
    fused, events, features = (part(record, start, stop) for record in (s.fused, s.events, s.features))
    return stage.propose(fused, events, features, s.chance[start:stop])


def _rule(stage: Guard, s: Sample, start: int, stop: int) -> Ruling:
    records = (s.events, s.features, s.scores, s.fused, s.proposal)
    events, features, scores, fused, proposal = (part(record, start, stop) for record in records)
    return stage.rule(events, features, scores, fused, proposal, s.fallback[start:stop])


def _bits(answer: Any) -> list[bytes]:
    """Each row of an answer as bytes."""
    columns = [np.ascontiguousarray(getattr(answer, f.name)) for f in fields(answer)]
    return [b"".join(column[row].tobytes() for column in columns) for row in range(len(columns[0]))]


def _same(one: State, other: State) -> bool:
    def bits(array: Any) -> tuple[Any, ...]:
        return np.asarray(array).dtype, np.shape(array), np.asarray(array).tobytes()

    return set(one) == set(other) and all(bits(array) == bits(other[name]) for name, array in one.items())


def _learns(stage: Any, s: Sample, start: int, stop: int) -> None:
    if hasattr(stage, "learn"):
        stage.learn(part(s.experience, start, stop))


Answers = Callable[[Any, Sample, int, int], Any]


def _batches_do_not_matter(build: Callable[[], Stateful], s: Sample, answers: Answers) -> None:
    n = len(s)
    whole = build()
    expected = _bits(answers(whole, s, 0, n))
    for size in (1, 7, 64):
        cut = build()
        rows = [bits for k in range(0, n, size) for bits in _bits(answers(cut, s, k, min(n, k + size)))]
        assert rows == expected, f"batches of {size} are answered otherwise than one batch"
        assert _same(cut.state(), whole.state()), f"batches of {size} leave another state than one batch"
    assert _bits(answers(build(), s, 0, 0)) == [], "a batch of nothing is answered by something"


def _a_restored_stage_goes_on(build: Callable[[], Stateful], s: Sample, answers: Answers) -> None:
    n, middle = len(s), len(s) // 2
    one = build()
    answers(one, s, 0, middle)
    _learns(one, s, 0, middle)
    saved = {name: np.array(array, copy=True) for name, array in one.state().items()}
    other = build()
    other.restore({name: np.array(array, copy=True) for name, array in saved.items()})
    assert _same(other.state(), saved), "a state does not come back as it was saved"
    for start, stop in ((middle, (middle + n) // 2), ((middle + n) // 2, n)):
        assert _bits(answers(one, s, start, stop)) == _bits(answers(other, s, start, stop))
        _learns(one, s, start, stop)
        _learns(other, s, start, stop)
        assert _same(one.state(), other.state()), "after restore() the stage does not go on as before"
    again = build()
    again.restore(saved)
    assert _same(again.state(), saved), "a state changed after it was given out, or when it was restored"


def _learning_does_not_depend_on_the_batch(build: Callable[[], Stateful], s: Sample) -> None:
    whole = build()
    _learns(whole, s, 0, len(s))
    _learns(whole, s, 0, 0)
    for size in (1, 7):
        cut = build()
        for start in range(0, len(s), size):
            _learns(cut, s, start, min(len(s), start + size))
        assert _same(cut.state(), whole.state()), f"outcomes learned {size} at a time leave another state"


def a_risk_is_a_probability(build: Callable[[], Fusion], s: Sample) -> None:
    """(n,) risks in [0, 1], whichever scorers are missing; contributions (n, scorers), 0 where one is missing."""
    fusion = build()
    for learned in (False, True):
        if learned:
            fusion.learn(s.experience)
        fused = fusion.fuse(s.scores)
        assert fused.risk.shape == (len(s),) and ((fused.risk >= 0.0) & (fused.risk <= 1.0)).all()
        assert fused.contributions.shape == s.scores.values.shape and np.isfinite(fused.contributions).all()
        assert (fused.contributions[np.isnan(s.scores.values)] == 0.0).all()


def fusing_does_not_depend_on_the_batch(build: Callable[[], Fusion], s: Sample) -> None:
    """A row has the same risk in any batch; and outcomes teach the same however they are cut."""
    _batches_do_not_matter(build, s, _fuse)
    _learning_does_not_depend_on_the_batch(build, s)


def a_restored_fusion_goes_on(build: Callable[[], Fusion], s: Sample) -> None:
    """`restore(state())` continues bit for bit."""
    _a_restored_stage_goes_on(build, s, _fuse)


def a_proposal_has_propensities(build: Callable[[], Policy], s: Sample) -> None:
    """Actions that exist, each with a propensity above 0; propensities are probabilities that sum to 1."""
    policy = build()
    for learned in (False, True):
        if learned:
            policy.learn(s.experience)
        proposal = policy.propose(s.fused, s.events, s.features, s.chance)
        checked(proposal, len(s), s.proposal.propensity.shape[1])
        assert (proposal.propensity[np.arange(len(s)), proposal.action] > 0.0).all(), "took what it never takes"
        assert np.abs(proposal.propensity.sum(axis=1) - 1.0).max() < 1e-9


def proposing_does_not_depend_on_the_batch(build: Callable[[], Policy], s: Sample) -> None:
    """An event has the same proposal in any batch."""
    _batches_do_not_matter(build, s, _propose)


def a_restored_policy_goes_on(build: Callable[[], Policy], s: Sample) -> None:
    """`restore(state())` continues bit for bit."""
    _a_restored_stage_goes_on(build, s, _propose)


def a_ruling_is_an_action_with_its_reason(build: Callable[[], Guard], s: Sample) -> None:
    """Actions that exist; what was proposed stands unless a rule, breaker or fallback is named."""
    ruling = _rule(build(), s, 0, len(s))
    assert ruling.action.shape == ruling.rule.shape == ruling.hits.shape == (len(s),)
    assert ((ruling.action >= 0) & (ruling.action < s.proposal.propensity.shape[1])).all()
    assert (ruling.rule >= -3).all()
    untouched = ruling.rule == -1
    assert (ruling.action[untouched] == s.proposal.action[untouched]).all(), "changed a proposal without a reason"
    by_rule = ruling.rule >= 0
    held = ruling.hits[by_rule] >> ruling.rule[by_rule].astype(np.uint64) & np.uint64(1)
    assert (held == 1).all(), "a rule decided that did not hold"


def ruling_does_not_depend_on_the_batch(build: Callable[[], Guard], s: Sample) -> None:
    """A decision is ruled the same in any batch."""
    _batches_do_not_matter(build, s, _rule)


def a_restored_guard_goes_on(build: Callable[[], Guard], s: Sample) -> None:
    """`restore(state())` continues bit for bit."""
    _a_restored_stage_goes_on(build, s, _rule)


FUSION_CHECKS: tuple[Callable[[Callable[[], Fusion], Sample], None], ...] = (
    a_risk_is_a_probability,
    fusing_does_not_depend_on_the_batch,
    a_restored_fusion_goes_on,
)
POLICY_CHECKS: tuple[Callable[[Callable[[], Policy], Sample], None], ...] = (
    a_proposal_has_propensities,
    proposing_does_not_depend_on_the_batch,
    a_restored_policy_goes_on,
)
GUARD_CHECKS: tuple[Callable[[Callable[[], Guard], Sample], None], ...] = (
    a_ruling_is_an_action_with_its_reason,
    ruling_does_not_depend_on_the_batch,
    a_restored_guard_goes_on,
)
