"""Every built-in scorer, fusion, policy and guard passes the suites that plug-ins are to pass; wrong ones do not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from homeostat.checks.scorers import SCORER_CHECKS
from homeostat.checks.stages import FUSION_CHECKS, GUARD_CHECKS, POLICY_CHECKS, sample
from homeostat.checks.stand_ins import FunctionScorer
from homeostat.decide.costs import Costs
from homeostat.decide.fusion.adaptive import AdaptiveFusion
from homeostat.decide.fusion.ensemble import EnsembleFusion, Trained
from homeostat.decide.fusion.evidence import Table
from homeostat.decide.fusion.fixed import FixedFusion, declared_table
from homeostat.decide.guards.engine import Guards
from homeostat.decide.guards.plan import BreakerPlan, FallbackPlan, GuardPlan, Names, Rule
from homeostat.decide.policy.bandit import BanditPolicy, BanditSettings
from homeostat.decide.policy.bounded import BoundedPolicy
from homeostat.decide.policy.by_group import GroupRules, GroupThresholdPolicy
from homeostat.decide.policy.exploration import ExplorationPlan
from homeostat.decide.policy.thresholds import FixedThresholdPolicy, ThresholdPolicy
from homeostat.decide.scorers.forest import ForestScorer
from homeostat.decide.scorers.network import NetworkScorer
from homeostat.decide.scorers.rules import RulesScorer, ScoreRule
from homeostat.expressions import Type
from homeostat.records.features import Features

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

NAMES = ("amount", "count", "spread", "gap")
SCORERS = ("a", "b", "c")
ACTIONS = ("allow", "challenge", "block")
CENSORING = (False, False, True)


def matrix(n=600):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, len(NAMES))) * (50, 3, 1, 1e-3) + (60, 5, 0, 0)
    y = (rng.random(n) < 1 / (1 + np.exp(3 - x[:, 0] / 30))).astype(float)
    x[rng.random(x.shape) < 0.03] = np.nan
    return x, y


X, Y = matrix()
FEATURES = Features(NAMES, X, np.zeros(X.shape, np.uint8))


def rules():
    asked = [ScoreRule("large", "amount > 100", 0.6), ScoreRule("often", "count > 6 and spread > 0", 0.3)]
    return RulesScorer("rules", asked, NAMES, [Type.NUMBER] * len(NAMES))


def forest():
    train = pytest.importorskip("homeostat.models.training.isolation_forest").train_isolation_forest
    return ForestScorer("forest", train(X, Y, NAMES, {"trees": 20}, 1), NAMES)


def boosted():
    train = pytest.importorskip("homeostat.models.training.boosted_trees").train_boosted
    return ForestScorer("boosted", train(X, Y, NAMES, {"trees": 20, "depth": 3}, 1), NAMES)


def deep():
    train = pytest.importorskip("homeostat.models.training.boosted_trees").train_boosted
    return ForestScorer("deep", train(X, Y, NAMES, {"trees": 5, "depth": 9}, 1), NAMES)


def network():
    train = pytest.importorskip("homeostat.models.training.network").train_network
    part = train(X, Y, NAMES, {"epochs": 2, "hidden": (8, 8), "members": 2, "logarithm": "tails"}, 3)
    return NetworkScorer("network", part, NAMES)


MADE = {}


@pytest.mark.parametrize("check", SCORER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("build", [rules, forest, boosted, deep, network], ids=lambda build: build.__name__)
def test_every_scorer_passes_the_suite(build, check):
    if build not in MADE:
        MADE[build] = build()
    check(lambda: MADE[build], FEATURES)


def spoils(values):
    values[:, 0] += 1.0
    return np.full(len(values), 0.5)


class Forgetful:
    name = "counts"
    calls = 0

    def score(self, features):
        self.calls += 1
        return np.full(len(features), 1 / self.calls), np.ones(len(features))


WRONG = {
    "out of range": lambda: FunctionScorer("x", lambda v: np.full(len(v), 1.1)),
    "not a number for a gap": lambda: FunctionScorer("x", lambda v: np.clip(v[:, 0] / 1e3, 0, 1)),
    "float32": lambda: FunctionScorer("x", lambda v: np.zeros(len(v), np.float32)),
    "of the batch": lambda: FunctionScorer("x", lambda v: np.full(len(v), 1 / max(1, len(v)))),
    "of the past": Forgetful,
    "writing": lambda: FunctionScorer("x", spoils),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_scorer_is_found(name):
    failed = 0
    for check in SCORER_CHECKS:
        try:
            check(WRONG[name], Features(NAMES, X.copy(), np.zeros(X.shape, np.uint8)))
        except AssertionError:
            failed += 1
    assert failed


SAMPLE = sample(NAMES, SCORERS, len(ACTIONS), context=2)
TABLE = declared_table(SCORERS, {"a": 2.0, "b": 1.0, "c": 1.0}, 0.05)


def learned():
    train = pytest.importorskip("homeostat.models.training.fusion").train_fusion
    rng = np.random.default_rng(3)
    label = (rng.random(2000) < 0.1).astype(float)
    values = np.clip(rng.random((2000, 3)) * 0.7 + 0.3 * label[:, None], 0, 1)
    if "table" not in MADE:
        MADE["table"] = Table.of(train("learned", values, label, SCORERS, {}))
    return MADE["table"]


FUSIONS = {
    "declared": lambda: FixedFusion(TABLE, SCORERS),
    "learned": lambda: FixedFusion(learned(), SCORERS),
    "adaptive": lambda: AdaptiveFusion(TABLE, SCORERS),
    "ensemble": lambda: EnsembleFusion(
        Trained(("weighted", "learned"), (TABLE, replace(learned(), base=TABLE.base)), np.array([0.3, 0.7])), SCORERS
    ),
    "ensemble that learns": lambda: EnsembleFusion(
        Trained(("weighted", "adaptive"), (TABLE, TABLE), np.array([0.3, 0.7])), SCORERS
    ),
    "fast adaptive": lambda: AdaptiveFusion(TABLE, SCORERS, rate=1.0, bound=1.5),
}


@pytest.mark.parametrize("check", FUSION_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_passes_the_suite(name, check):
    check(FUSIONS[name], SAMPLE)


COSTS = Costs([("amount", Type.NUMBER)], ["amount", "amount / 4", "0"], ["0", "1", "amount / 5"])
PLAN = ExplorationPlan(0.2, 50.0, 10**11, 0.1)


def ppo():
    """A policy network of random weights."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from homeostat.decide.policy.observation import observation_size
    from homeostat.decide.policy.ppo import PpoPolicy
    from homeostat.models.training.policy_ppo import export_actor

    if "ppo" not in MADE:
        torch.manual_seed(1)
        hidden = SimpleNamespace(policy_net=[torch.nn.Linear(observation_size(3, 2), 8), torch.nn.Tanh()])
        actor = SimpleNamespace(mlp_extractor=hidden, action_net=torch.nn.Linear(8, 3))
        MADE["ppo"] = export_actor(actor, ("amount", "count"))
    return PpoPolicy(MADE["ppo"], COSTS, CENSORING, ("amount", "count"), PLAN)


GROUPS = GroupRules(0, np.array([1.0, 60.0]), ("one", "sixty"), np.array([False, True, True]), np.array([
    [0.02, 0.5, 0.3, 0.2, 0.6], [0.5, np.inf, 0.0, 0.0, 0.0],
]))  # fmt: skip
POLICIES = {
    "thresholds by group": lambda: GroupThresholdPolicy(COSTS, CENSORING, GROUPS),
    "thresholds by group with hold-out": lambda: GroupThresholdPolicy(COSTS, CENSORING, GROUPS, 0.2),
    "thresholds": lambda: ThresholdPolicy(COSTS, CENSORING),
    "thresholds with hold-out": lambda: ThresholdPolicy(COSTS, CENSORING, 0.2),
    "thresholds of settings over those by group": lambda: BoundedPolicy(
        GroupThresholdPolicy(COSTS, CENSORING, GROUPS), (None, 0.3, None), CENSORING, 0.2
    ),
    "fixed thresholds": lambda: FixedThresholdPolicy((0.2, 0.7), CENSORING, 0.1),
    "linucb": lambda: BanditPolicy(COSTS, CENSORING, ("amount", "count"), "linucb", PLAN),
    "thompson": lambda: BanditPolicy(COSTS, CENSORING, ("amount", "count"), "thompson", PLAN),
    "patient bandit": lambda: BanditPolicy(
        COSTS, CENSORING, ("amount", "count"), "thompson", PLAN, BanditSettings(maturity_ns=5 * 10**10)
    ),
    "ppo": ppo,
}


@pytest.mark.parametrize("check", POLICY_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_passes_the_suite(name, check):
    check(POLICIES[name], SAMPLE)


def guards(rules=(), breakers=()):
    names = Names([(name, Type.NUMBER) for name in NAMES], ("user", "shop"), SCORERS)
    plan = GuardPlan(ACTIONS, FallbackPlan(scorers_absent=1, policy=0, deadline=2), tuple(rules), tuple(breakers))
    return lambda: Guards(plan, names)


GUARDS = {
    "no rules": guards(),
    "rules": guards([Rule("large", "amount > 100", 2), Rule("sure", "risk > 0.9 and score_a > 0.5", 1, priority=3)]),
    "breakers": guards([Rule("large", "amount > 300", 2)], [
        BreakerPlan(2, 0.2, 10**11, 10, 1), BreakerPlan(1, 0.5, 3 * 10**10, 5, 0)
    ]),
}  # fmt: skip


@pytest.mark.parametrize("check", GUARD_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", GUARDS)
def test_every_guard_passes_the_suite(name, check):
    check(GUARDS[name], SAMPLE)


class ForgetsItsShift(AdaptiveFusion):
    def state(self):
        return {"place": self._place.copy(), "size": np.zeros_like(self._size)}


def test_a_fusion_whose_state_lacks_something_is_found():
    with pytest.raises(AssertionError):
        FUSION_CHECKS[2](lambda: ForgetsItsShift(TABLE, SCORERS), SAMPLE)
