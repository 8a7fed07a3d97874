"""A canary: another version's models that decide a share of the entities, beside the champion's.

Both see the same features. Scorers and fusion are each version's own; so is a policy that was trained. Rules, lists,
breakers, the hold-out and the account of exploration are shared, and rows are taken in their order, so how events were
batched can't change a decision. A policy that learns online learns from both; an adaptive fusion learns only from the
decisions that were made with its own version's scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from homeostat.decide.contracts import Explorer, Fusion
from homeostat.decide.proposing import Proposing
from homeostat.decide.stages import Canary, Stages
from homeostat.ports import Clock
from homeostat.records.arrays import Bytes, Float, Mask
from homeostat.records.decisions import Experience, Fused, Proposal, Scores, mark_of
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.rows import experience_at, proposal_at, scores_at

T = TypeVar("T", bound=np.generic)


def instead_of(stages: Stages, canary: Canary) -> Stages:
    """The stages as they are for a canary's decisions: what explains one is what made it."""
    return replace(
        stages, panel=canary.panel, fusion=canary.fusion, policy=canary.policy or stages.policy,
        version=canary.version, canary=None,
    )  # fmt: skip


@dataclass(slots=True)
class Sides:
    """The sides of a batch, and the time that each side's scorers took of it.

    arm : (n,) 1 where the canary decides
    A decision is never late for the other side's sake.
    """

    arm: Bytes
    champion_ns: int = 0
    canary_ns: int = 0


def sides_of(stages: Stages, events: EventBatch) -> Sides | None:
    """The sides of n events; None where there is no canary."""
    return None if stages.canary is None else Sides(stages.canary.holds(events).astype(np.uint8))


def score(stages: Stages, features: Features, sides: Sides | None, clock: Clock) -> Scores:
    """The scores of a batch, each row by the panel of its own side."""
    canary = stages.canary
    theirs = 0 if sides is None else int(np.count_nonzero(sides.arm))
    if canary is None or sides is None or not theirs:
        return stages.panel.score(features)
    begun_ns = clock.monotonic_ns()
    if theirs == len(features):
        return replace(canary.panel.score(features), names=stages.panel.names)
    mask = sides.arm != 0
    ours = stages.panel.score(features.rows(~mask))
    between_ns = clock.monotonic_ns()
    found = canary.panel.score(features.rows(mask))
    sides.champion_ns, sides.canary_ns = between_ns - begun_ns, clock.monotonic_ns() - between_ns
    return Scores(
        ours.names, _merged(mask, ours.values, found.values), _merged(mask, ours.confidence, found.confidence),
        _merged(mask, ours.fallback, found.fallback),
    )  # fmt: skip


def fuse(stages: Stages, scores: Scores, arm: Bytes | None) -> Fused:
    """The risks of a batch, each row by the fusion of its own side."""
    canary = stages.canary
    theirs = 0 if arm is None else int(np.count_nonzero(arm))
    if canary is None or arm is None or not theirs:
        return stages.fusion.fuse(scores)
    if theirs == len(arm):
        return canary.fusion.fuse(scores)
    mask = arm != 0
    ours, found = stages.fusion.fuse(scores_at(scores, ~mask)), canary.fusion.fuse(scores_at(scores, mask))
    return Fused(_merged(mask, ours.risk, found.risk), _merged(mask, ours.contributions, found.contributions))


def propose(
    proposing: Proposing, stages: Stages, fused: Fused, events: EventBatch, features: Features, chance: Float,
    was: Proposal | None, arm: Bytes | None,
) -> Proposal:  # fmt: skip
    """The proposals of a batch, each row by the policy of its own side.

    Where both have policies of their own, rows go one after the other, and the account of exploration with them.
    """
    canary = stages.canary
    if canary is None or canary.policy is None or arm is None or not np.count_nonzero(arm):
        return proposing.propose(stages, stages.policy, fused, events, features, chance, was)
    found = []
    for rows in _runs(arm):
        part = Fused(fused.risk[rows], fused.contributions[rows]), events.rows(rows), features.rows(rows), chance[rows]
        before = None if was is None else proposal_at(was, rows)
        if not arm[rows.start]:
            found.append(proposing.propose(stages, stages.policy, *part, before))
            continue
        with stages.spending:  # The account must not be looked at while the other policy has it.
            canary.policy.restore(stages.policy.state())
            if stages.allowance is not None and isinstance(canary.policy, Explorer):
                canary.policy.allow(stages.allowance)
            found.append(proposing.propose(stages, canary.policy, *part, before))
            stages.policy.restore(canary.policy.state())
    return Proposal(
        np.concatenate([one.action for one in found]), np.concatenate([one.propensity for one in found]),
        np.concatenate([one.explored for one in found]), np.concatenate([one.fallback for one in found]),
    )  # fmt: skip


def lessons(stages: Stages, experience: Experience) -> Iterator[tuple[Fusion, Experience]]:
    """Each fusion, and the experience that was made with its own version's scores.

    The champion's also takes that of former champions, and of its own time as a canary.
    """
    maker = experience.maker
    if maker is None or not np.count_nonzero(maker):
        yield stages.fusion, experience
        return
    own = (maker == 0.0) | (maker == mark_of(stages.version))
    if np.count_nonzero(own):
        yield stages.fusion, experience_at(experience, own)
    if stages.canary is not None:
        theirs = maker == mark_of(stages.canary.version)
        if np.count_nonzero(theirs):
            yield stages.canary.fusion, experience_at(experience, theirs)


def _runs(arm: Bytes) -> Iterator[slice]:
    """Neighbouring rows of one side."""
    edges = [0, *(np.flatnonzero(np.diff(arm)) + 1).tolist(), len(arm)]
    for start, stop in pairwise(edges):
        yield slice(start, stop)


def _merged(mask: Mask, ours: NDArray[T], theirs: NDArray[T]) -> NDArray[T]:
    """Rows of `theirs` where the mask (n,) holds, of `ours` elsewhere, each in its order."""
    out = np.empty((len(mask), *ours.shape[1:]), ours.dtype)
    out[~mask], out[mask] = ours, theirs
    return out
