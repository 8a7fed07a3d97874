"""What the wheel carries is what `make bundle` makes."""

import numpy as np
import pytest

from homeostat.decide.policy.ppo import PpoPolicy
from homeostat.decide.scorers.build import serve_part
from homeostat.embedded.assembly import Prepared, prepare, shipped_bundle
from homeostat.embedded.bundling import collect, make_bundle, meaning_of
from homeostat.embedded.policy_training import PART
from homeostat.embedded.simulated import Recipe
from homeostat.models.bundle import Bundle, load_bundle
from homeostat.models.training_set import silent
from homeostat.records.features import Features

SIZE_MAX = 1_500_000
AGAIN = "the shipped bundle is out of date: run `make bundle`"


@pytest.fixture(scope="module")
def payments() -> Prepared:
    return prepare("payments")


@pytest.fixture(scope="module")
def shipped(payments) -> Bundle:
    folder = shipped_bundle(payments.app)
    assert folder is not None, "no bundle is shipped: run `make bundle`"
    return load_bundle(folder, payments.features.names)


def test_the_shipped_bundle_was_made_by_todays_recipe_for_todays_app(payments, shipped):
    recipe = {name: getattr(Recipe(), name) for name in Recipe.__slots__}
    assert shipped.about["recipe"] == recipe, AGAIN
    assert shipped.about["trains"] == meaning_of(payments.app), AGAIN
    assert shipped.app == "payments"


def test_the_shipped_bundle_is_small_and_has_every_part_that_the_app_may_use(payments, shipped):
    folder = shipped_bundle(payments.app)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= SIZE_MAX
    trained = {f"scorer.{name}" for name, spec in payments.app.scorers.items() if spec.kind != "rules"}
    assert set(shipped.parts) == trained | {"fusion", PART}


def test_making_the_bundle_again_gives_the_shipped_one(payments, shipped):
    again = make_bundle(payments, Recipe(), silent)
    assert set(again.parts) == set(shipped.parts)
    for fact in ("rows", "positives", "from_ns", "until_ns", "trained_at_ns", "seed", "folds", "recipe", "trains"):
        assert again.about[fact] == shipped.about[fact], fact
    x = collect(payments, Recipe(customers=200)).training_set().x[:3000]
    features = Features(payments.features.names, x, np.zeros(x.shape, np.uint8))
    for name, part in shipped.scorers.items():  # Other processors round otherwise, so scores are compared, not bytes.
        was, now = (serve_part(name, p, features.names).score(features)[0] for p in (part, again.scorers[name]))
        np.testing.assert_allclose(now, was, atol=1e-6, rtol=0, err_msg=f"{name}: {AGAIN}")
    np.testing.assert_allclose(again.fusion.arrays["weights"], shipped.fusion.arrays["weights"], atol=1e-6)
    rng = np.random.default_rng(1)
    size = 10 + len(payments.app.policy.context)
    seen = rng.uniform(-1.5, 1.5, (2000, size))
    was, now = (_policy(payments, b).logits(seen).argmax(axis=1) for b in (shipped, again))
    assert (was == now).mean() > 0.98, AGAIN


def _policy(payments: Prepared, bundle: Bundle) -> PpoPolicy:
    graph = bundle.parts[PART].graphs["model"]
    return PpoPolicy(graph, lambda *_: None, (False, False, True), payments.app.policy.context)
