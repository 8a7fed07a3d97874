"""Training on what people have: few outcomes, none at all, events that do not name every entity, huge values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from homeostat.app import NoScorers
from homeostat.config.load import parse_app
from homeostat.config.tree import App
from homeostat.engine.assembly import open_engine
from homeostat.jobs.training import groups_of
from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.models.training_set import NothingToLearn, silent
from homeostat.records.events import EventBatch
from homeostat.records.identity import ABSENT

HOUR_NS = 3600 * 10**9
BOOSTED = "boosted: {kind: boosted_trees, settings: {trees: 5, depth: 2}}"
FOREST = "forest: {kind: isolation_forest, settings: {trees: 5, rows: 32}}"


def an_app(scorers: str = BOOSTED, fusion: str = "learned", derived: str = "twice: amount * 2") -> App:
    return parse_app(
        f"""
homeostat: 1
app: small
events:
  entities:
    customer: {{required: false}}
    device: {{required: false}}
  fields: {{amount: {{type: number}}}}
  label: {{name: fraud}}
features:
  windows: [{{entity: customer, lengths: [1h], compute: {{count: count}}}}]
  derived: {{{derived}}}
scorers: {{{scorers}}}
fusion: {{kind: {fusion}}}
actions: [allow, block]
costs: {{allow: {{positive: 10, negative: 0}}, block: {{positive: 0, negative: 1}}}}
guards: {{fallback: {{scorers_absent: allow}}}}
outcomes: {{label: fraud, horizon: 1h}}
"""
    )


def events(folder: Path, n: int = 400, entity: str | None = "customer", **changes: object) -> Path:
    """Events a second apart, a tenth of them frauds of larger amounts; `changes` are given for single columns."""
    rng = np.random.default_rng(1)
    fraud = changes.get("fraud", (rng.random(n) < 0.1).astype(int))
    rows = []
    for k in range(n):
        row = {
            "event_id": k,
            "time": 1_700_000_000 + k,
            "amount": float(rng.exponential(10) + 50 * np.nan_to_num(fraud[k])),
        }
        if entity is not None:
            row[entity] = int(rng.integers(0, 40))
        if not np.isnan(fraud[k]):
            row["fraud"] = int(fraud[k])
        row |= {name: value for name, value in changes.items() if name != "fraud" and k % 50 == 0}
        rows.append(json.dumps(row))
    (folder / "events.jsonl").write_text("\n".join(rows))
    return folder / "events.jsonl"


def trained(folder: Path, app: App, file: Path) -> dict:
    request = TrainingRequest(file, folder / "bundle", (1_700_000_000 + 10_000) * 10**9)
    return train_on_events(app, request, silent)


@pytest.mark.parametrize("entity", ["device", None])
def test_events_without_an_optional_entity_train_by_another_one_or_by_themselves(
    tmp_path: Path, entity: str | None
) -> None:
    assert trained(tmp_path, an_app(), events(tmp_path, entity=entity))["rows"] == 400


def test_groups_are_of_the_first_entity_that_an_event_names() -> None:
    keys = np.array([[5, 7], [ABSENT, 7], [ABSENT, 5], [ABSENT, 7], [ABSENT, ABSENT], [5, ABSENT]])
    n = len(keys)
    batch = EventBatch(
        np.arange(n), np.arange(n), keys, np.empty((n, 0)), np.full(n, np.nan), np.zeros(n, np.uint8)
    )  # fmt: skip
    group = groups_of(batch).tolist()
    assert group[0] == group[5] == 5
    assert group[1] == group[3]
    assert len(set(group)) == 4


def test_one_value_beyond_float32_is_learned_from(tmp_path: Path) -> None:
    file = events(tmp_path, amount=1e20)
    app = an_app(f"{BOOSTED}, {FOREST}", derived="square: amount ** 2")
    trained(tmp_path, app, file)
    with open_engine(app, bundle=tmp_path / "bundle") as engine:
        answer = engine.decide({"event_id": "x", "time": 1_700_020_000, "customer": 3, "amount": 1e30})
        assert 0 <= answer["risk"] <= 1


@pytest.mark.parametrize(
    ("fraud", "message"),
    [
        (np.arange(400) == 9, "1 of 400 events have one, and these name 1 different customer"),
        (np.ones(400), r"all 400 events that teach are positive.*unknown: negative"),
        (np.zeros(400), "none of the 400 events that teach is positive"),
        (np.full(400, np.nan), "no event in the training window has a known outcome"),
    ],
)
def test_outcomes_of_one_kind_only_are_refused_with_what_is_missing(
    tmp_path: Path, fraud: np.ndarray, message: str
) -> None:
    with pytest.raises(NothingToLearn, match=message):
        trained(tmp_path, an_app(), events(tmp_path, fraud=fraud.astype(float)))


def test_a_forest_needs_no_outcomes_and_serves_with_declared_weights(tmp_path: Path) -> None:
    app = an_app(FOREST, "weighted")
    report = trained(tmp_path, app, events(tmp_path, fraud=np.full(400, np.nan)))
    assert (report["rows"], report["positives"], report["out_of_fold"]) == (400, 0, {})
    assert report["parts"] == ["scorer.forest"]
    with open_engine(app, bundle=tmp_path / "bundle") as engine:
        odd, usual = (
            engine.decide({"event_id": str(k), "time": 1_700_020_000, "customer": 3, "amount": amount})["risk"]
            for k, amount in enumerate((5000.0, 10.0))
        )
    assert odd > usual


def test_a_forest_whose_fusion_is_learned_says_that_this_needs_outcomes(tmp_path: Path) -> None:
    with pytest.raises(NothingToLearn, match="weighted"):
        trained(tmp_path, an_app(FOREST), events(tmp_path, fraud=np.full(400, np.nan)))


def test_a_forest_with_outcomes_is_fused_by_them(tmp_path: Path) -> None:
    report = trained(tmp_path, an_app(FOREST, "weighted"), events(tmp_path))
    assert report["parts"] == ["fusion", "scorer.forest"]
    assert report["out_of_fold"]["forest"]["roc_auc"] > 0.5


@pytest.mark.parametrize("fusion", ["learned", "weighted"])
def test_an_app_without_scorers_says_so_whatever_is_asked_of_it(tmp_path: Path, fusion: str) -> None:
    app = an_app("", fusion)
    events = tmp_path / "events.jsonl"
    rows = [{"event_id": k, "time": 1_700_000_000 + k, "amount": k, "fraud": k % 2} for k in range(50)]
    events.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(NoScorers, match="small declares no scorers"):
        open_engine(app)
    with pytest.raises(NoScorers, match="small declares no scorers"):
        train_on_events(app, TrainingRequest(events, tmp_path / "bundle", 1_800_000_000 * 10**9), silent)
