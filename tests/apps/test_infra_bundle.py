"""The wheel carries the bundle that `make bundle` makes for the infra app, and it explains alerts by metric."""

import numpy as np
import pytest

from homeostat.config.definitions import feature_definitions
from homeostat.engine.assembly import Prepared, fitting_bundle, open_engine, prepare, shipped_bundle
from homeostat.jobs.bundling import meaning_of
from homeostat.jobs.infra.bundling import InfraRecipe, make_infra_bundle
from homeostat.jobs.infra.deciding import OUT_OF
from homeostat.models.bundle import Bundle
from homeostat.models.training_set import silent

AGAIN = "the shipped bundle is out of date: run `make bundle`"
SMALL = InfraRecipe(hosts=3, history_days=1, training_days=2, faults=1)


@pytest.fixture(scope="module")
def infra() -> Prepared:
    return prepare("infra")


@pytest.fixture(scope="module")
def shipped(infra: Prepared) -> Bundle:
    folder = shipped_bundle(infra.app)
    assert folder is not None, "no bundle is shipped: run `make bundle`"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 200_000
    return fitting_bundle(folder, infra)


def test_the_shipped_bundle_was_made_by_todays_recipe_for_todays_app(infra: Prepared, shipped: Bundle) -> None:
    assert shipped.about["recipe"] == {name: getattr(InfraRecipe(), name) for name in InfraRecipe.__slots__}, AGAIN
    assert shipped.about["trains"] == meaning_of(infra.app), AGAIN
    assert shipped.definitions == feature_definitions(infra.app), AGAIN
    assert set(shipped.parts) == {"scorer.together"} and shipped.app == "infra"


@pytest.mark.long
def test_the_same_recipe_makes_the_same_bundle(infra: Prepared) -> None:
    one, other = (make_infra_bundle(infra, SMALL, silent) for _ in range(2))
    for name, array in one.parts["scorer.together"].arrays.items():
        assert np.array_equal(array, other.parts["scorer.together"].arrays[name], equal_nan=True), name


@pytest.mark.long
def test_an_alert_is_explained_by_the_metric_that_is_out_of_its_band() -> None:
    rng = np.random.default_rng(5)
    with open_engine("infra") as engine:
        for step in range(200):
            event = {"event_id": step, "time": 1_767_571_200 + 60 * step, "host": "web-1", "restarts": 0}
            event |= {name: 20 + float(rng.normal(0, 0.5)) for name in OUT_OF}
            event["memory"] += 30 * (step >= 197)
            made = engine.decide(event)
            assert made["action"] == ("alert" if step >= 197 else "ok"), step
        answer = engine.decision(199, explain=True)
    features = answer["explanation"]["features"]
    assert features[0]["name"] == "memory_out" and features[0]["contribution"] > 0
