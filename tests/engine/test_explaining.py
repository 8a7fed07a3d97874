"""The smallest change moves what can be moved, and what follows from that follows."""

from __future__ import annotations

import pytest

from homeostat.config.load import parse_app
from homeostat.config.tree import App
from homeostat.engine.assembly import open_engine

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
    """What would have changed the action of a customer's second event."""
    with open_engine(an_app(rule)) as engine:
        first = {"customer": "c", "amount": 10.0, "web": True, "country": "FR"}
        engine.decide({"event_id": "1", "time": START} | first)
        told = engine.decide({"event_id": "2", "time": START + 60} | first | event)
        assert told["action"] == "block"
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
