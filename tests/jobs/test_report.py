"""The replay's report holds what was decided, by whom, and what it cost beside doing nothing and hard rules alone."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.support.worlds import events_file, payments, small_app, trained

from homeostat.cli.report_view import ROWS_MAX, WIDTH_MAX, screen
from homeostat.config.tree import Breaker, RuleSpec
from homeostat.jobs.replay import Request, replay_events
from homeostat.jobs.report_page import report_page
from homeostat.models.training_set import silent
from homeostat.stats.metrics import average_precision

pytestmark = pytest.mark.long  # Trains and replays: `make quick` leaves it out.
ACTIONS = ("allow", "challenge", "block")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A run with rules that hold and a breaker that steps in."""
    app = small_app()
    rules = (
        RuleSpec(name="large", when="amount > 150", action="challenge", priority=2),
        RuleSpec(name="larger", when="amount > 190", action="block", priority=1),
        RuleSpec(name="never", when="amount < 0", action="block"),
    )
    breakers = (Breaker(action="challenge", share_max=0.02, over="1h", events_min=5, instead="allow"),)
    app = app.model_copy(update={"guards": app.guards.model_copy(update={"rules": rules, "breakers": breakers})})
    out = tmp_path_factory.mktemp("report")
    return replay_events(app, Request(events_file(), out, bundle=trained()), silent), out


def test_who_decided_is_counted(guarded: tuple[dict[str, Any], Path]) -> None:
    report, out = guarded
    decisions = pq.read_table(out / "decisions.parquet")
    rule = decisions["rule"].to_pylist()
    amount = decisions["feature.amount"].to_numpy()
    assert sum(report["decided_by"].values()) == report["decisions"] == len(rule)
    assert report["decided_by"]["breaker"] == sum(text == "breaker" for text in rule) > 0
    assert report["breakers"] == {"challenge": report["decided_by"]["breaker"]}
    assert report["rules"]["large"] == {"held": (amount > 150).sum(), "decided": rule.count("large")}
    assert report["rules"]["larger"] == {"held": (amount > 190).sum(), "decided": 0}
    assert report["rules"]["never"] == {"held": 0, "decided": 0}
    assert report["failed_learning"] == 0 and report["currency"] == "EUR"


def test_the_cost_stands_beside_doing_nothing_and_rules_alone(guarded: tuple[dict[str, Any], Path]) -> None:
    report, out = guarded
    decisions = pq.read_table(out / "decisions.parquet")
    amount, fraud = decisions["feature.amount"].to_numpy(), payments().fraud

    def cost(action: np.ndarray) -> float:
        positive = np.stack([amount, 0.25 * amount + 0.5, 0 * amount])
        negative = np.stack([0 * amount, 0 * amount + 0.5, 0.1 * amount + 5])
        rows = np.arange(len(amount))
        return float(np.where(fraud == 1, positive[action, rows], negative[action, rows]).sum())

    taken = np.array([ACTIONS.index(name) for name in decisions["action"].to_pylist()])
    quality = report["quality"]
    assert quality["cost"] == pytest.approx(cost(taken))
    assert quality["cost_mildest"] == pytest.approx(cost(0 * taken))
    assert quality["cost_rules"] == pytest.approx(cost(np.where(amount > 150, 1, 0)))
    days = report["days"]
    assert sum(days["cost decided"]) == pytest.approx(quality["cost"], abs=0.01 * len(days["day"]))
    assert sum(map(sum, (days[f"action {name}"] for name in ACTIONS))) == report["decisions"]
    assert sum(days["positives"]) == fraud.sum()


def test_scorers_are_shown_with_weight_and_average_precision_and_the_risk_with_its_calibration(
    guarded: tuple[dict[str, Any], Path],
) -> None:
    report, out = guarded
    decisions = pq.read_table(out / "decisions.parquet")
    for name, found in report["scorers"].items():
        scores = decisions[f"score.{name}"].to_numpy()
        wanted = average_precision(payments().fraud.astype(float), scores)
        assert found["average_precision"] == pytest.approx(wanted)
        assert found["weight"] >= 0
    assert max(found["weight"] for found in report["scorers"].values()) > 0
    assert sum(n for _, _, n in report["calibration"]) == report["quality"]["known"]
    risks = [risk for risk, _, _ in report["calibration"]]
    assert risks == sorted(risks)
    recall = [r for r, _ in report["precision_recall"]]
    assert recall == sorted(recall) and recall[-1] == 1.0


class _Page(HTMLParser):
    """Which elements a page has, and whatever points out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.outward: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.outward += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "xlink:href", "onload")]
        if tag not in ("meta", "line", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "polyline"):
            assert self.open.pop() == tag


def test_the_page_of_plots_is_whole_and_needs_no_network(guarded: tuple[dict[str, Any], Path]) -> None:
    report, out = guarded
    text = (out / "report.html").read_text("utf-8")
    page = _Page()
    page.feed(text)
    assert page.open == [] and page.outward == [] and "script" not in page.seen
    assert text.count("<svg") == text.count("Show as table") == 5 and "prefers-color-scheme:dark" in text
    assert len(set(re.findall(r'id="([^"]+)"', text))) == len(re.findall(r' id="', text)) == 15
    assert not re.search(r"https?:|url\(|@import", text)
    named = {**report, "app": "<b>&", "actions": {"<i>": 3}}
    assert "<b>" not in report_page(named) and "<i>" not in report_page(named)


def test_a_run_without_outcomes_has_a_page_and_a_screen(tmp_path: Path) -> None:
    table = pq.read_table(events_file()).slice(0, 300).drop_columns(["TX_FRAUD"])
    pq.write_table(table, tmp_path / "events.parquet")
    app = small_app()
    app = app.model_copy(update={"outcomes": app.outcomes.model_copy(update={"maturity": 60 * 86_400 * 10**9})})
    report = replay_events(app, Request(tmp_path / "events.parquet", tmp_path / "out", bundle=trained()), silent)
    assert report["quality"]["known"] == 0 and report["quality"]["too_young"] == 300
    assert (tmp_path / "out" / "report.html").read_text("utf-8").count("<svg") == 3
    assert any("300 too young" in row for row in screen(report))


def test_the_screen_is_one_screen_however_much_there_is_to_say(guarded: tuple[dict[str, Any], Path]) -> None:
    report, _ = guarded
    rows = screen(report)
    assert any(row.startswith("breakers: stopped challenge") for row in rows)
    assert any("cost, allow always" in row for row in rows)
    many = {
        **report,
        "rules": {f"a_rule_with_quite_a_long_name_{k}": {"held": k + 1, "decided": k} for k in range(64)},
        "fallbacks": {f"cause_{k}": k for k in range(8)},
        "breakers": dict.fromkeys((f"action_{k}" for k in range(16)), 1_000_000),
        "actions": dict.fromkeys((f"action_{k}" for k in range(16)), 1_000_000),
        "scorers": {f"scorer_{k}": {"weight": 1.0, "average_precision": 0.5, "auc": None} for k in range(10)},
        "training": {
            "rows": 9, "positives": 3, "warnings": ["word " * 60],
            "left_out": {"age": "14d", "too_young": 5, "positives_too_young": 4, "without_outcome": 1},
        },
    }  # fmt: skip
    rows = screen(many)
    assert len(rows) <= ROWS_MAX and max(map(len, rows)) <= WIDTH_MAX
    assert rows[-1].startswith("audit head")


def test_the_report_is_the_same_on_disk(guarded: tuple[dict[str, Any], Path]) -> None:
    report, out = guarded
    assert json.loads((out / "report.json").read_text()) == json.loads(json.dumps(report, default=float))
