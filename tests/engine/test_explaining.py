"""The smallest change moves what can be moved, and what follows from that follows."""

from __future__ import annotations

from typing import Any

import pytest

from homeostat.config.definitions import durations
from homeostat.config.load import load_app, parse_app
from homeostat.config.tree import App
from homeostat.engine.assembly import open_engine
from homeostat.engine.explaining import sentences

START = 1_700_000_000


def an_app(rule: str) -> App:
    return parse_app(
        f"""
homeostat: 1
app: small
events:
  entities: {{customer: {{}}}}
  fields:
    amount: {{type: number, min: 0, max: 1000}}
    web: {{type: boolean}}
    country: {{type: category, values: [FR, DE, IT]}}
features:
  windows: [{{entity: customer, lengths: [1d], past: true, compute: {{spent: sum(amount), before: last(country)}}}}]
  derived:
    double: amount * 2
    ratio: double / max(1, spent)
    moved: before != country
scorers: {{rules: {{kind: rules, rules: [{{name: odd, when: "{rule}", score: 0.9}}]}}}}
fusion: {{kind: weighted}}
actions: [allow, block]
costs: {{allow: {{positive: "20", negative: "0"}}, block: {{positive: "0", negative: "20"}}}}
guards: {{fallback: {{scorers_absent: allow}}}}
outcomes: {{label: fraud, horizon: 1h}}
"""
    )


def change(rule: str, **event: object) -> dict[str, object] | None:
    """The change that would have altered the action of a customer's second event."""
    with open_engine(an_app(rule)) as engine:
        first = {"customer": "c", "amount": 10.0, "web": True, "country": "FR"}
        engine.decide({"event_id": "1", "time": START} | first)
        shown = engine.decide({"event_id": "2", "time": START + 60} | first | event)
        assert shown["action"] == "block"
        found: dict[str, object] | None = engine.decision("2", explain=True)["explanation"]["change"]
        return found


@pytest.mark.parametrize(("rule", "limit"), [("double > 100", 50.0), ("ratio >= 12", 60.0), ("amount > 30", 30.0)])
def test_a_derived_feature_follows_from_the_field_that_is_changed(rule: str, limit: float) -> None:
    found = change(rule, amount=80.0)
    assert found is not None and found["feature"] == "amount"
    assert found["becomes"] == pytest.approx(limit)
    assert found["action"] == "allow"


def test_yes_becomes_no_and_nothing_between() -> None:
    found = change("web")
    assert found == {"feature": "web", "was": 1.0, "becomes": 0.0, "action": "allow"}


def test_a_category_becomes_another_one_that_the_app_allows() -> None:
    found = change("country == 'DE'", country="DE")
    assert found == {"feature": "country", "was": "DE", "becomes": "FR", "action": "allow"}


def test_the_past_of_a_category_can_not_be_moved_but_the_present_can() -> None:
    found = change("moved", country="DE")
    assert found == {"feature": "country", "was": "DE", "becomes": "FR", "action": "allow"}
    assert change("before == 'FR'") is None


def counted(rule: str, before: int, **event: object) -> dict[str, object] | None:
    """The change that would have altered the action of a customer's event, after some of the same day."""
    app = parse_app(
        f"""
homeostat: 1
app: counted
events:
  entities: {{customer: {{}}}}
  fields:
    amount: {{type: number, min: 0, max: 100}}
    items: {{type: integer}}
    web: {{type: boolean}}
features:
  windows:
    - entity: customer
      lengths: [1d]
      compute: {{n: count, different: distinct(items), mean: mean(amount), most: max(items), webs: sum(web),
                 spread: std(amount), pace: rate, since: since_last}}
  derived: {{at: hour(time)}}
scorers: {{rules: {{kind: rules, rules: [{{name: odd, when: "{rule}", score: 0.9}}]}}}}
fusion: {{kind: weighted}}
actions: [allow, block]
costs: {{allow: {{positive: "20", negative: "0"}}, block: {{positive: "0", negative: "20"}}}}
guards: {{fallback: {{scorers_absent: allow}}}}
outcomes: {{label: fraud, horizon: 1h}}
"""
    )
    with open_engine(app) as engine:
        for k in range(before + 1):
            fields = {"amount": 50.0 + k, "items": k, "web": True, **event}
            shown = engine.decide({"event_id": k, "time": START + 60 * k, "customer": "c", **fields})
        assert shown["action"] == "block"
        found: dict[str, object] | None = engine.decision(before, explain=True)["explanation"]["change"]
        return found


@pytest.mark.parametrize(
    ("rule", "feature", "becomes"),
    [
        ("n > 2.5", "n", 2.0), ("n < 6.4", "n", 7.0), ("different >= 2.2", "different", 2.0),
        ("webs > 1.7", "webs", 1.0), ("most > 0.4", "most", 0.0), ("items > 1.2", "items", 1.0),
        ("at < 22.5", "at", 23.0), ("pace * 86400 > 2.3", "pace", 2 / 86400),
    ],
)  # fmt: skip
def test_a_count_becomes_another_count_and_nothing_between(rule: str, feature: str, becomes: float) -> None:
    found = counted(rule, 4)
    assert found is not None and (found["feature"], found["becomes"]) == (feature, pytest.approx(becomes, rel=1e-12))


@pytest.mark.parametrize("rule", ["mean < 101", "mean >= 0", "spread < 72", "spread >= 0", "n >= 1", "since <= 86400"])
def test_no_change_is_named_that_can_not_be(rule: str) -> None:
    assert counted(rule, 4) is None


def test_times_that_have_passed_are_shown_in_units_that_people_use() -> None:
    share = {"name": "terminal_since_clean", "value": 2_646_000.0, "contribution": 0.5, "unit": "s"}
    change = {"feature": "since_last", "was": 5_400.0, "becomes": 90.0, "action": "allow", "unit": "s"}
    explanation = {
        "by_version": "a-1", "same_version": True, "features": [share], "scorers": [], "change": change,
    }  # fmt: skip
    answer: Any = {
        "event_id": "1", "action": "block", "proposed": "block", "risk": 0.5, "time": "2026-01-01", "reasons": [],
        "rule": None, "fallback": None, "version": "a-1", "explanation": explanation,
    }  # fmt: skip
    lines = sentences(answer)
    assert any(line.endswith("terminal_since_clean  30.6 days") for line in lines)
    assert "With since_last at 90 s instead of 1.5 hours, all else equal, the action would have been allow." in lines


def test_the_features_that_are_times_are_found_in_the_app_file() -> None:
    found = durations(load_app("payments"))
    assert {"customer_since_fraud", "terminal_since_first_fraud"} <= found and "customer_fraud_age" not in found
    assert "customer_count_1d" not in found
