"""A small app of real stages behind a counting featurizer, for the tests of the loop."""

from dataclasses import replace

import numpy as np

from homeostat.checks.batches import CODING
from homeostat.checks.stand_ins import CountingFeaturizer, FunctionScorer, MemoryJournal, ScriptedClock
from homeostat.decide.admission import Watermark
from homeostat.decide.costs import Costs
from homeostat.decide.fusion.adaptive import AdaptiveFusion
from homeostat.decide.fusion.fixed import declared_table
from homeostat.decide.guards.engine import Guards
from homeostat.decide.guards.plan import BreakerPlan, FallbackPlan, GuardPlan, Names, Rule
from homeostat.decide.learning.schedule import Schedule
from homeostat.decide.loop import DecisionLoop
from homeostat.decide.outcomes.joiner import OutcomeJoiner
from homeostat.decide.panel import Panel, Seat
from homeostat.decide.policy.bandit import BanditPolicy
from homeostat.decide.policy.exploration import ExplorationPlan
from homeostat.decide.policy.thresholds import ThresholdPolicy
from homeostat.decide.redo import redo
from homeostat.decide.stages import Limits, Stages
from homeostat.expressions import Type
from homeostat.records.events import EventBatch, OutcomeBatch
from homeostat.records.identity import is_hashed
from homeostat.stats.chance import chances

ACTIONS = ("allow", "challenge", "block")
FIELDS = (("amount", Type.NUMBER), ("odd", Type.NUMBER))
COSTS = Costs(FIELDS, ["amount", "amount / 4", "0"], ["0", "1", "amount / 3"])
CENSORING = (False, False, True)
LATENESS, EVERY, DELAY, HORIZON = 20, 50, 100, 400


def by_amount(values):
    return np.clip(values[:, 0] / 100, 0, 1)


def by_past(values):
    return np.clip(0.1 + 0.3 * values[:, 3] + 0.01 * values[:, 2], 0, 1)


class World:
    """One process: a loop over a journal that outlives it."""

    def __init__(self, journal=None, seats=None, bounded=False, policy=None, thresholds=True, **limits):
        self.journal = journal or MemoryJournal()
        self.clock = ScriptedClock()
        self.errors = []
        seats = seats or [Seat(FunctionScorer("amounts", by_amount)), Seat(FunctionScorer("past", by_past))]
        names = tuple(seat.scorer.name for seat in seats)
        featurizer = CountingFeaturizer([name for name, _ in FIELDS])
        tell = lambda name, error: self.errors.append((name, error))  # noqa: E731
        plan = GuardPlan(
            ACTIONS, FallbackPlan(scorers_absent=1, deadline=2),
            (Rule("huge", "amount > 190", 2), Rule("tiny", "amount < 2", 0)), (BreakerPlan(2, 0.3, 300, 20, 1),),
        )  # fmt: skip
        self.stages = Stages(
            featurizer=featurizer,
            panel=Panel(seats, self.clock if bounded else None, tell),
            fusion=AdaptiveFusion(declared_table(names, {}), names),
            policy=policy or BanditPolicy(
                COSTS, CENSORING, ("count",), exploration=ExplorationPlan(0.1, 30.0, 1000, 0.1)
            ),
            thresholds=ThresholdPolicy(COSTS, CENSORING, 0.1) if thresholds else None,
            guard=Guards(plan, Names([(name, Type.NUMBER) for name in featurizer.names], ("user", "shop"), names)),
            joiner=OutcomeJoiner(
                COSTS, context=("count",), actions=3, scorers=len(names), entities=2, delay_ns=DELAY,
                horizon_ns=HORIZON, unknown_negative=True, censoring=(2,),
            ),
            schedule=Schedule(EVERY),
            watermark=Watermark(LATENESS),
            chance=lambda ids: chances(7, ids.code),
            coding=CODING,
            actions=ACTIONS,
            version="v1",
        )  # fmt: skip
        self.loop = DecisionLoop(self.stages, self.journal, self.clock, Limits(**limits), tell)

    def restarted(self, saved, **options):
        """Another process, on the same journal, from a saved sequence number and state."""
        other = World(self.journal, **options)
        if saved is not None:
            other.loop.restore(saved[1])
        redo(other.loop, self.journal.read(0 if saved is None else saved[0]))
        return other

    def saved(self):
        """A snapshot as it would be read back."""
        state = {name: np.array(value, copy=True) for name, value in self.loop.state().items()}
        return len(self.journal.bodies), state


def stream(n, seed=0, labels=True):
    """`n` events with ties, a few late ones, and labels that come along."""
    rng = np.random.default_rng(seed)
    time_ns = 1000 + np.cumsum(rng.integers(0, 6, n)) - rng.choice([0, 0, 0, 0, 10, 30], n)
    amount = rng.choice([1.0, 5.0, 20.0, 60.0, 120.0, 200.0], n)
    label = np.where(rng.random(n) < 0.7, (rng.random(n) < amount / 250).astype(float), np.nan)
    return EventBatch(
        np.arange(1, n + 1), time_ns, rng.integers(0, 5, (n, 2)), np.column_stack([amount, rng.random(n)]),
        label if labels else np.full(n, np.nan), np.zeros(n, np.uint8),
    )  # fmt: skip


def outcomes_of(events, rows, known_ns, seed=0, located=False, scheduled=True):
    rows = np.asarray(rows, np.int64)
    label = (np.random.default_rng([seed, len(rows)]).random(len(rows)) < 0.4).astype(float)
    known = np.broadcast_to(np.asarray(known_ns, np.int64), len(rows)).copy()
    batch = OutcomeBatch(events.id_code[rows], label, known, np.full(len(rows), np.nan), scheduled=scheduled)
    return replace(batch, time_ns=events.time_ns[rows], keys=events.keys[rows]) if located else batch


def chosen(events, rows):
    return events.rows(np.asarray(rows))


def event(key, time_ns, amount=20.0, user=1):
    code, check = CODING.identify(key)
    return EventBatch(
        np.array([code]), np.array([time_ns]), np.array([[user, 2]]), np.array([[amount, 0.5]]), np.array([np.nan]),
        np.zeros(1, np.uint8), {(code, check): key} if is_hashed(code) else {}, np.array([check]),
    )  # fmt: skip


def joined_up(batches):
    """Several event batches as one."""
    columns = ("id_code", "time_ns", "keys", "numbers", "label", "kind", "id_check", "key_checks")
    made = {name: np.concatenate([getattr(b, name) for b in batches]) for name in columns}
    return EventBatch(**made, texts={one: text for b in batches for one, text in b.texts.items()})


def record(decided_batches):
    """The decisions, row after row, as bytes."""
    rows = {}
    for batch in decided_batches:
        for k in range(len(batch)):
            rows[int(batch.events.id_code[k])] = tuple(
                np.ascontiguousarray(array[k]).tobytes()
                for array in (
                    batch.events.kind, batch.features.values, batch.scores.values, batch.scores.fallback,
                    batch.fused.risk, batch.fused.contributions, batch.proposal.action, batch.proposal.propensity,
                    batch.proposal.explored, batch.ruling.action, batch.ruling.rule, batch.ruling.hits, batch.fallback,
                )
            )  # fmt: skip
    return rows


def same_state(one, other):
    assert set(one) == set(other)
    for name, array in one.items():
        assert array.tobytes() == np.asarray(other[name]).tobytes(), name


def run(world, events, size, hand=None):
    """Decide a stream in batches of a size; `hand(world, start, stop)` is called before each."""
    made = []
    for start in range(0, len(events), size):
        stop = min(start + size, len(events))
        if hand is not None:
            hand(world, start, stop)
        decided = world.loop.decide(events.slice(start, stop))
        if decided.fresh is not None:
            made.append(decided.fresh)
    return record(made)


class Wrapped:
    """A policy whose answer passes through a function."""

    def __init__(self, spoil):
        self.inner = World().stages.policy
        self.spoil = spoil

    def propose(self, fused, events, features, chance):
        return self.spoil(self.inner.propose(fused, events, features, chance))

    def learn(self, experience):
        self.inner.learn(experience)

    def state(self):
        return self.inner.state()

    def restore(self, state):
        self.inner.restore(state)


def positives(world, key, time_ns, user=1):
    return world.loop.decide(event(key, time_ns, user=user)).fresh.features.values[0, 3]
