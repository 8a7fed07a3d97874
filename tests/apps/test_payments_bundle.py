"""The wheel carries the bundle that `make bundle` makes.

Trees come out the same on every processor, and are compared exactly. Networks do not: their sums are rounded otherwise
where vectors have another width, and thousands of steps of training carry that on. They are compared by how well they
rank, and by what the policy costs.
"""

import numpy as np
import pytest

from homeostat.config.definitions import feature_definitions
from homeostat.decide.fusion.evidence import Table
from homeostat.decide.fusion.fixed import FixedFusion
from homeostat.decide.policy.ppo import PpoPolicy
from homeostat.decide.scorers.build import serve_part
from homeostat.engine.assembly import Prepared, fitting_bundle, prepare, shipped_bundle
from homeostat.jobs.bundling import collect, make_bundle, meaning_of
from homeostat.jobs.policy_training import PART, pool_of_rows
from homeostat.jobs.simulated import Recipe
from homeostat.models.bundle import Bundle
from homeostat.models.training_set import TrainingSet, silent
from homeostat.records.decisions import Scores
from homeostat.records.features import Features
from homeostat.sim.payments.episodes import Episodes, Pool
from homeostat.sim.payments.world import Response
from homeostat.stats.metrics import average_precision, log_loss, roc_auc

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

SIZE_MAX = 1_500_000
AGAIN = "the shipped bundle is out of date: run `make bundle`"
TREES = ("boosted", "forest")
NETWORK = "network"
SMALL = Recipe(customers=60, history_days=5, training_days=12, ppo_steps=256, ppo_imitation_steps=50)
LARGE = 8 * 10**5  # Episodes' steps; their mean cost is then within a percent.


@pytest.fixture(scope="module")
def payments() -> Prepared:
    return prepare("payments")


@pytest.fixture(scope="module")
def shipped(payments) -> Bundle:
    folder = shipped_bundle(payments.app)
    assert folder is not None, "no bundle is shipped: run `make bundle`"
    return fitting_bundle(folder, payments)


@pytest.fixture(scope="module")
def again(payments) -> Bundle:
    return make_bundle(payments, Recipe(), silent)


@pytest.fixture(scope="module")
def others(payments) -> TrainingSet:
    """Payments of another world, which no part has learned from."""
    return collect(payments, Recipe(seed=77, customers=400)).training_set()


def test_the_shipped_bundle_was_made_by_todays_recipe_for_todays_app(payments, shipped):
    recipe = {name: getattr(Recipe(), name) for name in Recipe.__slots__}
    assert shipped.about["recipe"] == recipe, AGAIN
    assert shipped.about["trains"] == meaning_of(payments.app), AGAIN
    assert shipped.definitions == feature_definitions(payments.app), AGAIN
    assert shipped.app == "payments"


def test_the_shipped_bundle_is_small_and_has_every_part_that_the_app_may_use(payments, shipped):
    folder = shipped_bundle(payments.app)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= SIZE_MAX
    trained = {f"scorer.{name}" for name, spec in payments.app.scorers.items() if spec.kind != "rules"}
    assert set(shipped.parts) == trained | {"fusion", PART}


def test_a_small_recipe_makes_every_part_and_the_same_again(payments, shipped):
    """The short form of the tests that make the shipped bundle again, which run each week."""
    one, other = (make_bundle(payments, SMALL, silent) for _ in range(2))
    assert set(one.parts) == set(shipped.parts) and one.about["recipe"]["customers"] == 60
    assert one.about["trains"] == shipped.about["trains"] and one.definitions == shipped.definitions
    for name, part in one.parts.items():
        again = other.parts[name]
        assert (part.kind, part.features, part.settings) == (again.kind, again.features, again.settings), name
        assert part.arrays.keys() == again.arrays.keys() and part.graphs == again.graphs, name
        for key, array in part.arrays.items():
            assert array.tobytes() == again.arrays[key].tobytes(), f"{name}: {key}"


@pytest.mark.weekly
def test_making_the_bundle_again_gives_the_same_recipe_rows_and_trees(shipped, again):
    assert set(again.parts) == set(shipped.parts)
    for fact in ("rows", "positives", "from_ns", "until_ns", "trained_at_ns", "seed", "folds", "recipe", "trains"):
        assert again.about[fact] == shipped.about[fact], fact
    assert again.definitions == shipped.definitions
    for name, part in again.parts.items():
        was = shipped.parts[name]
        assert (part.kind, part.features, part.settings.keys()) == (was.kind, was.features, was.settings.keys()), name
        assert {key: array.shape for key, array in part.arrays.items()} == {
            key: array.shape for key, array in was.arrays.items()
        }, name
    for name in TREES:
        part, was = again.scorers[name], shipped.scorers[name]
        for key, array in part.arrays.items():
            assert array.tobytes() == was.arrays[key].tobytes(), f"{name}: {key}: {AGAIN}"
        assert part.settings == was.settings, f"{name}: {AGAIN}"


@pytest.mark.weekly
def test_making_the_network_again_gives_one_that_ranks_alike_and_as_well(payments, shipped, again, others):
    part, was = again.scorers[NETWORK], shipped.scorers[NETWORK]
    assert part.settings == was.settings, AGAIN
    for key in ("fill", "logarithmic", "center", "scale", "sizes"):
        np.testing.assert_allclose(part.arrays[key], was.arrays[key], rtol=1e-9, atol=1e-12, err_msg=key)
    before, now = (scored(payments, NETWORK, one, others) for one in (was, part))
    assert rank_correlation(before, now) > 0.995, AGAIN
    compare_quality(others.y, before, now)


@pytest.mark.weekly
def test_making_the_fusion_again_gives_one_that_ranks_alike_and_as_well(payments, shipped, again, others):
    np.testing.assert_allclose(again.fusion.arrays["weights"], shipped.fusion.arrays["weights"], atol=0.05)
    before, now = (risk_of(payments, one, others) for one in (shipped, again))
    assert rank_correlation(before, now) > 0.995, AGAIN
    compare_quality(others.y, before, now)


@pytest.mark.weekly
def test_making_the_policy_again_gives_one_that_mostly_does_the_same_and_costs_as_much(
    payments, shipped, again, others
):
    pool = pool_of_rows(payments, others, risk_of(payments, shipped, others))
    (seen, before), (_, now) = (played(pool, policy_of(payments, one)) for one in (shipped, again))
    assert now == pytest.approx(before, rel=0.05), AGAIN
    was, does = (policy_of(payments, one).logits(seen).argmax(axis=1) for one in (shipped, again))
    assert (was == does).mean() > 0.9, AGAIN


def scored(payments: Prepared, name: str, part, rows: TrainingSet) -> np.ndarray:
    features = Features(payments.features.names, rows.x, np.zeros(rows.x.shape, np.uint8))
    return serve_part(name, part, features.names).score(features)[0]


def risk_of(payments: Prepared, bundle: Bundle, rows: TrainingSet) -> np.ndarray:
    """The fused risk of the trained scorers, without the rules."""
    names = tuple(bundle.scorers)
    values = np.column_stack([scored(payments, name, part, rows) for name, part in bundle.scorers.items()])
    scores = Scores(names, values, np.ones(values.shape), np.zeros(len(values), np.uint8))
    return FixedFusion(Table.of(bundle.fusion), names).fuse(scores).risk


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    ranks = [np.argsort(np.argsort(scores, kind="stable"), kind="stable") for scores in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


def compare_quality(y: np.ndarray, before: np.ndarray, now: np.ndarray) -> None:
    for metric in (roc_auc, average_precision):
        assert metric(y, now) == pytest.approx(metric(y, before), abs=0.01), f"{metric.__name__}: {AGAIN}"
    assert log_loss(y, now) == pytest.approx(log_loss(y, before), rel=0.05), AGAIN


def policy_of(payments: Prepared, bundle: Bundle) -> PpoPolicy:
    graph = bundle.parts[PART].graphs["model"]
    return PpoPolicy(graph, lambda *_: None, (False, False, True), payments.app.policy.context)


def played(pool: Pool, policy: PpoPolicy) -> tuple[np.ndarray, float]:
    """Observations on the way, and the mean cost of a step, where the policy decides."""
    count = 2_000
    world = Episodes(pool, 5, Response(give_up=0.8, give_up_online=0.8), count)
    seen, kept, total = world.begin(), [], 0.0
    for _ in range(LARGE // count):
        kept.append(seen[::100].copy())
        cost, ended = world.step(policy.logits(np.ascontiguousarray(seen, np.float64)).argmax(axis=1))
        total += float(cost.sum())
        seen = world.begin(ended)
    return np.concatenate(kept), total / LARGE
