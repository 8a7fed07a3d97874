"""A trial of rules counts outcomes as all else does: by age, with silence as the app says, and in the windows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from homeostat.config.load import load_app
from homeostat.jobs.guard_trial import Trial, try_rules
from homeostat.jobs.replay import Request, replay_events

START = 1_700_000_000
DAY = 86_400
COUNT = 300
APP = """
homeostat: 1
app: trial
events:
  entities: {customer: {}}
  fields: {amount: {type: number}}
features:
  windows:
    - {entity: customer, lengths: [30d], delay: 1d, where: fraud == 1, compute: {frauds: count}}
scorers: {none: {kind: rules, rules: [{name: small, when: amount < 0, score: 0.5}]}}
fusion: {kind: weighted}
actions: [allow, block]
costs: {allow: {positive: 10, negative: 0}, block: {positive: 0, negative: 1}}
guards:
  rules: [{name: big, when: amount > 990, action: block}]
  fallback: {scorers_absent: allow}
outcomes: {label: fraud, delay: 1d, horizon: 14d, unknown: negative, censoring: [block]}
"""
FRAUDS = range(0, COUNT, 10)


def kept(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def world(tmp_path: Path) -> dict[str, Path]:
    """Sixty days of five events each; those of amount 100 are a third, and a tenth of all are frauds."""
    at = {k: START + k * DAY // 5 for k in range(COUNT)}
    frauds = [{"event_id": k, "label": 1, "time": at[k] + 2 * DAY} for k in FRAUDS]
    rest = [{"event_id": k, "label": 0, "time": at[k] + 14 * DAY} for k in range(COUNT) if k not in FRAUDS]
    (tmp_path / "app.yaml").write_text(APP)
    (tmp_path / "rules.yaml").write_text(APP.replace("amount > 990", "amount > 50"))
    events = [
        {"event_id": k, "time": at[k], "customer": k % 7, "amount": 100 if k % 3 == 0 else 10} for k in range(COUNT)
    ]
    return {
        "app": tmp_path / "app.yaml", "rules": tmp_path / "rules.yaml",
        "events": kept(tmp_path / "events.jsonl", events),
        "frauds": kept(tmp_path / "frauds.jsonl", frauds), "all": kept(tmp_path / "all.jsonl", frauds + rest),
    }  # fmt: skip


def tried(world: dict[str, Path], outcomes: str, rules: str = "rules", **where) -> dict:
    where = where or {"events": world["events"]}
    trial = Trial(world[rules], str(world["app"]), outcomes=world[outcomes] if outcomes else None, **where)
    return try_rules(trial, lambda what, share: None)


def test_reports_of_frauds_alone_give_the_figures_of_all_outcomes(world):
    frauds, everything = tried(world, "frauds"), tried(world, "all")
    today = FRAUDS[-1] * DAY // 5 + 2 * DAY  # The last report: nothing is later.
    old_enough = sum(k * DAY // 5 <= today - 14 * DAY for k in range(COUNT))
    big = frauds["rules_after"]["big"]
    assert frauds["known"] == old_enough and frauds["left_out"]["too_young"] == COUNT - old_enough
    assert big["positives"] == sum(k % 3 == 0 for k in FRAUDS if k < old_enough) and big["known"] == -(-old_enough // 3)
    assert everything["known"] == COUNT  # Each outcome came by the day on which the last of them is known.
    assert abs(everything["rules_after"]["big"]["precision"] - big["precision"]) < 0.02


def test_a_replays_folder_gives_the_same_figures_as_its_events(world, tmp_path):
    request = Request(world["events"], tmp_path / "out", world["frauds"])
    replay_events(world["app"], request, lambda what, share: None)
    of_folder, of_events = tried(world, "", data=tmp_path / "out"), tried(world, "frauds")
    for name in ("known", "cost_before", "cost_after", "left_out", "rules_after"):
        assert of_folder[name] == of_events[name], name


def test_windows_on_outcomes_are_filled_as_in_a_replay(world, tmp_path):
    world["known"] = tmp_path / "known.yaml"
    world["known"].write_text(APP.replace("amount > 990", "frauds > 0"))
    request = Request(world["events"], tmp_path / "out", world["frauds"])
    replay_events(world["known"], request, lambda what, share: None)
    held = tried(world, "frauds", "known")["rules_after"]["big"]["held"]
    assert held == tried(world, "", "known", data=tmp_path / "out")["rules_after"]["big"]["held"] > 100


def test_rules_alone_are_tried_with_the_fallback_of_the_app(tmp_path):
    (tmp_path / "rules.yaml").write_text(
        "guards:\n  rules:\n    - {name: large, when: amount > 100, action: block}\n", "utf-8"
    )
    tried = load_app("payments", guards_from=tmp_path / "rules.yaml")
    own = load_app("payments")
    assert tried.guards.fallback == own.guards.fallback and [one.name for one in tried.guards.rules] == ["large"]
