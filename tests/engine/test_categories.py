"""Categories from the first event to the explanation: learned as such, kept by text, named by text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from homeostat.config.faults import AppFileError
from homeostat.config.load import parse_app
from homeostat.config.tree import App
from homeostat.decide.what_if import UNNAMED
from homeostat.engine.assembly import open_engine, prepare
from homeostat.engine.engine import Engine
from homeostat.engine.explaining import sentences
from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.jobs.training_set import ThisProcess
from homeostat.jobs.training_set_run import InShares
from homeostat.models.bundle import load_bundle, save_bundle
from homeostat.models.training_set import silent
from homeostat.records.parts import PartError

START = 1_700_000_000
COUNTRIES = ("FR", "DE", "IT", "ES", "XX")


def an_app(scorers: str = "[amount, country, merchant, last_country_1d, foreign]", more: str = "") -> App:
    return parse_app(
        f"""
homeostat: 1
app: shop
events:
  entities: {{customer: {{}}}}
  fields:
    amount: {{type: number, min: 0, max: 1000}}
    country: {{type: category, required: false}}
    merchant: {{type: category}}
  label: {{name: fraud}}
features:
  windows: [{{entity: customer, lengths: [1d], past: true, compute: {{"last_country_{{length}}": last(country)}}}}]
  derived:
    foreign: country == "XX"
    moved: country != last_country_1d
scorers:
  boosted: {{kind: boosted_trees, features: {scorers}, settings: {{trees: 30, depth: 2}}}}
fusion: {{kind: learned}}
actions: [allow, block]
costs: {{allow: {{positive: "20", negative: "0"}}, block: {{positive: "0", negative: "20"}}}}
guards: {{fallback: {{scorers_absent: allow}}}}
outcomes: {{label: fraud, horizon: 1h}}
{more}
"""
    )


def rows(n: int = 6_000) -> list[dict[str, object]]:
    """Nearly every payment of one country is a fraud, and hardly any other."""
    rng = np.random.default_rng(1)
    country = rng.choice(5, n, p=[0.3, 0.3, 0.2, 0.1, 0.1]).tolist()
    fraud = (rng.random(n) < np.where(np.array(country) == 4, 0.9, 0.02)).astype(int).tolist()
    merchant, customer = rng.integers(0, 12, n).tolist(), rng.integers(0, 300, n).tolist()
    return [
        {
            "event_id": f"e{k}", "time": START + k, "amount": float(k % 90), "country": COUNTRIES[country[k]],
            "merchant": f"shop {merchant[k]}", "customer": f"c{customer[k]}", "fraud": fraud[k],
        }
        for k in range(n)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("categories")
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, rows())))
    train(folder / "events.jsonl", folder / "bundle")
    return folder


def train(events: Path, out: Path, elsewhere: InShares | None = None) -> dict[str, object]:
    return train_on_events(an_app(), TrainingRequest(events, out, (START + 100_000) * 10**9), silent, elsewhere)


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    with open_engine(an_app(), bundle=folder / "bundle") as engine:
        yield engine


def payment(event_id: str, country: str | None = "FR", **more: object) -> dict[str, object]:
    event = {"event_id": event_id, "time": START + 200_000, "amount": 20.0, "merchant": "shop 1", "customer": "c1"}
    return event | ({} if country is None else {"country": country}) | more


def decided(engine: Engine, *events: dict[str, object]) -> list[float]:
    return [engine.decide(event)["risk"] for event in events]


def test_the_bad_country_is_found_and_new_ones_are_scored(engine: Engine) -> None:
    bad, good, new, none = decided(
        engine, payment("bad", "XX"), payment("good"), payment("new", "ZZ"), payment("none", None)
    )
    assert bad > 0.7 > 0.2 > good
    assert 0 < new < 1 and 0 < none < 1


@pytest.mark.long
def test_an_explanation_names_categories_by_their_text(engine: Engine) -> None:
    engine.decide(payment("1", "XX"))
    shown = engine.decision("1", features=True, explain=True)
    assert shown["features"]["country"]["value"] == "XX"
    assert shown["features"]["merchant"]["value"] == "shop 1"
    assert shown["features"]["amount"]["value"] == 20.0
    features = {feature["name"]: feature for feature in shown["explanation"]["features"]}
    assert features["country"]["value"] == "XX" and features["country"]["contribution"] > 0
    assert set(features) <= {"amount", "country", "merchant", "last_country_1d", "foreign"}
    json.dumps(shown)


def test_another_category_is_a_change_that_can_be_made_and_derived_features_follow(engine: Engine) -> None:
    """`foreign` follows from the country: neither alone would have changed the action."""
    engine.decide(payment("1", "XX"))
    shown = engine.decision("1", features=True, explain=True)
    change = shown["explanation"]["change"]
    assert (shown["action"], change["feature"], change["was"], change["action"]) == ("block", "country", "XX", "allow")
    assert change["becomes"] in ("FR", "DE")
    text = "\n".join(sentences(shown))
    assert f"country would have to be {change['becomes']} instead of XX" in text
    for line in text.splitlines():
        assert not any(len(word.replace(",", "")) > 9 and word.replace(",", "").isdigit() for word in line.split())
    changed = decided(engine, payment("2", change["becomes"], customer="c2"))
    assert changed[0] < 0.5


def test_a_category_of_the_past_is_named_where_anyone_knows_its_text(engine: Engine) -> None:
    engine.decide(payment("1", "DE", customer="new"))
    engine.decide(payment("2", "FR", customer="new"))
    engine.decide(payment("3", "Atlantis", customer="newer"))
    engine.decide(payment("4", "FR", customer="newer"))
    value = [engine.decision(key, features=True)["features"]["last_country_1d"]["value"] for key in "1234"]
    assert value == [None, "DE", None, UNNAMED]
    assert engine.decision("3", features=True)["features"]["country"]["value"] == "Atlantis"


def test_texts_outlive_the_process(folder: Path, tmp_path: Path) -> None:
    with open_engine(an_app(), bundle=folder / "bundle", data=tmp_path / "data") as engine:
        engine.decide(payment("1", "Atlantis"))
    with open_engine(an_app(), bundle=folder / "bundle", data=tmp_path / "data") as engine:
        assert engine.decision("1", features=True)["features"]["country"]["value"] == "Atlantis"


@pytest.mark.long
def test_every_road_gives_the_same_bundle(folder: Path, tmp_path: Path) -> None:
    """Twice from lines, from columns, and with windows that are filled elsewhere."""
    pq.write_table(pa.Table.from_pylist(rows()), tmp_path / "events.parquet")
    versions = {
        train(folder / "events.jsonl", tmp_path / "again")["version"],
        train(tmp_path / "events.parquet", tmp_path / "columns")["version"],
        train(folder / "events.jsonl", tmp_path / "shares", InShares(ThisProcess(), 3))["version"],
        load_bundle(folder / "bundle").version,
    }
    assert len(versions) == 1


def test_decisions_do_not_depend_on_how_events_were_batched(folder: Path) -> None:
    events = [payment(f"{k}", COUNTRIES[k % 5], merchant=f"shop {k % 20}", customer=f"c{k % 7}") for k in range(60)]
    with open_engine(an_app(), bundle=folder / "bundle") as one, open_engine(
        an_app(), bundle=folder / "bundle"
    ) as many:  # fmt: skip
        assert decided(one, *events) == [answer["risk"] for answer in many.decide(events)]


def test_the_newest_category_is_one_in_expressions_too() -> None:
    types = dict(zip(prepare(an_app()).features.names, prepare(an_app()).features.types, strict=True))
    assert types["last_country_1d"] == types["country"]
    assert prepare(an_app()).features.categories == {"country", "merchant", "last_country_1d"}


def test_a_bundle_that_knows_categories_as_numbers_is_refused(folder: Path, tmp_path: Path) -> None:
    bundle = load_bundle(folder / "bundle")
    part = bundle.parts["scorer.boosted"]
    settings = {name: value for name, value in part.settings.items() if name != "categories"}
    save_bundle(
        replace(bundle, parts={**bundle.parts, "scorer.boosted": replace(part, settings=settings)}), tmp_path / "b"
    )
    with pytest.raises(PartError, match="train the bundle again"):
        open_engine(an_app(), bundle=tmp_path / "b")


@pytest.mark.parametrize("kind", ["bandit", "ppo"])
def test_a_policy_that_weighs_quantities_is_refused_a_category(kind: str) -> None:
    with pytest.raises(AppFileError, match=r"country is a category.*country == 'some value'"):
        an_app(more=f"policy: {{kind: {kind}, context: [country]}}")
