"""An evaluation of a small app: figures equal scikit-learn's, faults are measured, and little data is no claim."""

from __future__ import annotations

import json
import re
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator
from sklearn import metrics as theirs

from homeostat.app import NoScorers
from homeostat.config.instants import instant_ns
from homeostat.config.load import load_app
from homeostat.decide.scorers.rules import RulesScorer
from homeostat.jobs.evaluation.evaluate import FILES, NotAnEvaluation, Request, evaluate
from homeostat.jobs.evaluation.window import NothingToEvaluate
from homeostat.jobs.replay import Request as Replay
from homeostat.jobs.replay import replay_events
from homeostat.models.training_set import silent
from homeostat.stats.chance import uniform

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.
APP = """
homeostat: 1
app: loans
description: "Loans <b onload='x'>"
currency: EUR
events:
  entities: {customer: {}}
  fields:
    score: {type: number, min: 0, max: 1}
    region: {type: category, required: false}
  label: {name: default}
features:
  windows:
    - {entity: customer, lengths: [1d], compute: {"loans_{length}": count}}
scorers:
  large:
    kind: rules
    rules: [{name: large, when: score > 0.6, score: 0.7}, {name: huge, when: score > 0.9, score: 0.95}]
  often: {kind: rules, rules: [{name: often, when: loans_1d > 1, score: 0.4}]}
fusion: {kind: weighted}
actions: [grant, review, refuse]
costs:
  grant: {positive: 10, negative: 0}
  review: {positive: 3, negative: 1}
  refuse: {positive: 0, negative: 4}
guards: {fallback: {scorers_absent: review}, rules: [{name: top, when: score > 0.97, action: refuse}]}
"""
FAIR = "\nfairness: {groups: region, bounds: [{measure: selection_rate, difference_max: 0.05}]}\n"
DAYS = 20


def loans(n: int = 4_000, days: int = DAYS) -> list[dict[str, Any]]:
    """Loans of 20 days; customers come more than once, and one region has higher scores for the same outcomes."""
    chance = [uniform(4, np.arange(n), stream).tolist() for stream in range(3)]
    rows = []
    for i in range(n):
        region = "south" if i % 3 == 0 else 'north" & <i>west</i>](x)'
        at = int(i * days * 86_400 / n)
        bad = chance[1][i] < 0.25
        row = {
            "event_id": i + 1, "time": str(np.datetime64("2026-01-01T00:00:00") + np.timedelta64(at, "s")),
            "customer": int(chance[2][i] * 400), "region": region, "default": bad,
            "score": min(1.0, 0.7 * chance[0][i] + 0.3 * bad + 0.2 * (region == "south")),
        }  # fmt: skip
        rows.append(row)
    return rows


@cache
def schema() -> Draft202012Validator:
    """Of a report, once it is checked itself."""
    read = json.loads((files("homeostat") / "schemas" / "evaluation.json").read_text())
    Draft202012Validator.check_schema(read)
    return Draft202012Validator(read)


def evaluated(
    folder: Path, rows: list[dict[str, Any]], app: str = APP, begins: str = "2026-01-06", **more: Any
) -> dict[str, Any]:
    """The report, which fits its schema; --from and --until are five days after the first event, and the end."""
    path, events = folder / "app.yaml", folder / "events.jsonl"
    path.write_text(app)
    events.write_text("".join(json.dumps(row) + "\n" for row in rows))
    request = Request(events, folder / "out", instant_ns(begins), instant_ns("2026-01-21"), **more)
    report = evaluate(load_app(path), request, silent)
    written = json.loads((folder / "out" / "report.json").read_text())
    schema().validate(written)
    assert json.loads(json.dumps(report)) == written
    return report


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("evaluation")
    return evaluated(folder, loans(), APP + FAIR), folder / "out"


def after() -> list[dict[str, Any]]:
    return [row for row in loans() if row["time"] >= "2026-01-06"]


def test_figures_equal_those_of_scikit_learn_on_the_decisions_of_a_replay(
    tmp_path: Path, plain: tuple[dict[str, Any], Path]
) -> None:
    report, _ = plain
    (tmp_path / "app.yaml").write_text(APP + FAIR)
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in loans()))
    replay_events(str(tmp_path / "app.yaml"), Replay(tmp_path / "events.jsonl", tmp_path / "out"), silent)
    decisions = pq.read_table(tmp_path / "out" / "decisions.parquet").to_pydict()
    rows = after()
    first = len(decisions["risk"]) - len(rows)
    risk, y = np.array(decisions["risk"][first:]), np.array([row["default"] for row in rows], float)
    action = np.array([["grant", "review", "refuse"].index(one) for one in decisions["action"][first:]])
    found = report["quality"]
    assert (found["decisions"], found["known"], found["positives"]) == (len(rows), len(rows), int(y.sum()))
    for name, value in (
        ("auc", theirs.roc_auc_score(y, risk)), ("average_precision", theirs.average_precision_score(y, risk)),
        ("brier", theirs.brier_score_loss(y, risk)), ("log_loss", theirs.log_loss(y, risk)),
    ):  # fmt: skip
        assert found[name]["value"] == pytest.approx(value, abs=1e-12), name
        assert found[name]["low"] < value < found[name]["high"] and found[name]["n"] == len(rows)
    for index, one in enumerate(found["actions"]):
        assert one["rate"]["value"] == pytest.approx(np.mean(action == index))
        if index:
            assert one["precision"]["value"] == pytest.approx(theirs.precision_score(y, action >= index), abs=1e-12)
            assert one["recall"]["value"] == pytest.approx(theirs.recall_score(y, action >= index), abs=1e-12)
    price = np.array([[0, 1, 4], [10, 3, 0]], float)
    label = y.astype(int)
    spent = price[label, action]
    cost = report["cost"]
    assert cost["per_event"]["value"] == pytest.approx(spent.mean()) and cost["total"] == pytest.approx(spent.sum())
    assert cost["mildest"]["value"] == pytest.approx(price[label, 0].mean())
    ruled = np.array([2 if row["score"] > 0.97 else 0 for row in rows])
    assert cost["rules"]["value"] == pytest.approx(price[label, ruled].mean())
    saved = cost["saved_against_mildest"]
    assert saved["low"] < saved["value"] == pytest.approx(price[label, 0].mean() - spent.mean())
    assert sum(one["decisions"] for one in found["by_time"]["periods"]) == len(rows)
    assert found["by_time"]["unit"] == "day" and len(found["by_time"]["periods"]) == 15


def test_windows_are_filled_by_the_events_before(tmp_path: Path, plain: tuple[dict[str, Any], Path]) -> None:
    cut = evaluated(tmp_path, after(), APP + FAIR, robust_rows=0)
    assert cut["quality"]["decisions"] == plain[0]["quality"]["decisions"]
    assert cut["quality"]["auc"]["value"] != plain[0]["quality"]["auc"]["value"]


def test_two_evaluations_have_the_same_figures(tmp_path: Path, plain: tuple[dict[str, Any], Path]) -> None:
    again = evaluated(tmp_path, loans(), APP + FAIR)
    assert {**again, "latency_us": 0} == {**plain[0], "latency_us": 0}


def test_calibration_counts_every_event_once_and_groups_are_named_segments(plain: tuple[dict[str, Any], Path]) -> None:
    report, _ = plain
    bins = report["calibration"]["bins"]
    assert sum(one["share"]["n"] for one in bins) == report["quality"]["known"]
    gaps = sum(one["share"]["n"] * abs(one["risk"] - one["share"]["value"]) for one in bins)
    assert report["calibration"]["error"]["value"] == pytest.approx(gaps / report["quality"]["known"])
    named = {one["segment"][0]: one["known"] for one in report["slices"]["named"]}
    of = [row["region"] for row in after()]
    assert named == {f"region = {name}": of.count(name) for name in set(of)}
    assert report["fairness"]["verdict"] == "FAIL" and report["fairness"]["bounds"][0]["measure"] == "selection_rate"


def test_the_worst_segment_is_found(tmp_path: Path) -> None:
    rows = loans()
    for row in rows:
        if row["region"] == "south":  # Outcomes there have nothing to do with scores.
            row["default"] = row["score"] < 0.5
    found = evaluated(tmp_path, rows, robust_rows=0)["slices"]["found"]["squared_error"]
    assert found[0]["shown"] and "region = south" in found[0]["segment"]
    assert found[0]["excess"]["low"] > 0.05 and found[0]["mean"] > found[0]["rest"]


# Faults.


def test_each_fault_is_told_apart_with_what_was_served(plain: tuple[dict[str, Any], Path]) -> None:
    report, _ = plain
    cases = report["robustness"]["cases"]
    kinds = {case["kind"] for case in cases}
    fields = {"noise", "outliers", "shift", "unit change", "unknown categories"}
    assert kinds == fields | {"missing values", "frozen feature", "scorer away"}
    for case in cases:
        assert sum(case["served"]["actions"].values()) == pytest.approx(1.0)
        assert sum(case["served"]["decided_by"].values()) == pytest.approx(1.0)
        assert case["auc_change"]["n"] == report["quality"]["known"]
    by = {(case["kind"], case["target"], case["strength"]): case for case in cases}
    noise = [by["noise", "score", f"{s} standard deviation{e}"] for s, e in (("0.1", "s"), ("0.5", "s"), ("1", ""))]
    falls = [case["auc_change"]["value"] for case in noise]
    assert 0.0 > falls[1] > falls[2] and abs(falls[0]) < 0.02 and noise[2]["auc_change"]["high"] < 0.0
    assert [case["served"]["other_action"] for case in noise] == sorted(
        case["served"]["other_action"] for case in noise
    )
    away = by["scorer away", "large", "throughout"]
    assert away["served"]["fallbacks"] == {"scorer_failed": 1.0} and away["served"]["decided_by"]["fallback"] == 0.0
    nobody = by["scorer away", "all scorers", "throughout"]
    assert nobody["served"]["fallbacks"]["scorers_absent"] == 1.0
    ruled = np.mean([row["score"] > 0.97 for row in after()])  # Hard rules win over the fallback, which says review.
    assert nobody["served"]["actions"]["review"] == pytest.approx(1.0 - ruled)
    assert nobody["served"]["decided_by"]["rule"] == pytest.approx(ruled)
    unknown = by["unknown categories", "region", "100% of values"]
    assert unknown["auc_change"]["value"] == 0.0 and unknown["served"]["other_action"] == 0.0  # Nothing reads it.
    large = by["unit change", "score", "x 100"]
    assert large["served"]["actions"]["refuse"] > 0.9 and large["cost_change"]["low"] > 0.0


def test_a_fault_is_priced_by_the_events_as_they_were(tmp_path: Path) -> None:
    app = APP.replace("{positive: 10, negative: 0}", "{positive: 10 * score, negative: 0}")
    report = evaluated(tmp_path, loans(1_500), app)
    case = next(
        one for one in report["robustness"]["cases"] if (one["kind"], one["strength"]) == ("unit change", "x 0.01")
    )
    # Scores a hundredth of themselves are all granted: then the cost is that of the mildest action, at true scores.
    assert case["served"]["actions"]["grant"] > 0.6
    mildest = report["cost"]["mildest"]["value"] - report["cost"]["per_event"]["value"]
    assert case["cost_change"]["value"] == pytest.approx(mildest, rel=0.5)


def test_faults_may_be_left_out_or_decide_fewer_events(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert evaluated(tmp_path / "a", loans(800), robust_rows=0)["robustness"] is None
    (tmp_path / "b").mkdir()
    assert evaluated(tmp_path / "b", loans(800), robust_rows=300)["robustness"]["decisions"] == 300


# Little, or nothing.


def test_one_kind_of_outcome_alone_has_no_ranking(tmp_path: Path) -> None:
    report = evaluated(tmp_path, [{**row, "default": False} for row in loans(1_500)], APP + FAIR, robust_rows=200)
    quality = report["quality"]
    assert quality["positives"] == 0 and quality["auc"]["value"] is None and "positive" in quality["auc"]["why"]
    assert quality["brier"]["value"] is not None and quality["base_rate"]["low"] == 0.0 < quality["base_rate"]["high"]
    assert all(one["recall"] is None or one["recall"]["value"] is None for one in quality["actions"])
    assert all(case["auc_change"]["value"] is None for case in report["robustness"]["cases"])


def test_no_outcomes_at_all_leave_actions_and_latency(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "default"} for row in loans(1_200)]
    report = evaluated(tmp_path, rows, APP + FAIR, robust_rows=300)
    assert report["quality"]["known"] == 0 and report["quality"]["brier"]["value"] is None
    assert report["cost"]["per_event"]["value"] is None and report["calibration"]["bins"] == []
    assert report["slices"]["found"] == {"squared_error": [], "cost": []}
    assert sum(one["rate"]["value"] for one in report["quality"]["actions"]) == pytest.approx(1.0)
    assert report["latency_us"]["one"]["p50"]["value"] > 0.0
    p50, p99 = (report["latency_us"]["batch"][name] for name in ("p50", "p99"))
    assert p50["n"] < 100 and (p99["low"], p99["high"], p99["why"]) == (
        None, None, f"not enough data: {p99['n']} of 368 calls",
    )  # fmt: skip
    assert any(case["served"]["other_action"] > 0.1 for case in report["robustness"]["cases"])


def test_outcomes_count_by_the_rules_of_the_app(tmp_path: Path) -> None:
    rows = loans(1_600)
    outcomes = tmp_path / "outcomes.jsonl"
    bad = [row for row in rows if row["default"]]
    known = [{"event_id": row["event_id"], "label": 1, "time": row["time"]} for row in bad]
    outcomes.write_text("".join(json.dumps(one) + "\n" for one in known))
    app = APP + "outcomes: {unknown: negative, horizon: 5d}\n"
    unlabelled = [{k: v for k, v in row.items() if k != "default"} for row in rows]
    report = evaluated(tmp_path, unlabelled, app, outcomes=outcomes, robust_rows=200)
    assert report["robustness"]["decisions"] == 200
    quality, mine = report["quality"], [row for row in rows if row["time"] >= "2026-01-06"]
    latest = max(np.datetime64(one["time"]) for one in [*known, *mine])
    old = [row for row in mine if np.datetime64(row["time"]) <= latest - np.timedelta64(5, "D")]
    assert quality["known"] == len(old) and quality["too_young"] == len(mine) - len(old)
    assert quality["positives"] == sum(row["default"] for row in old)


def test_few_people_are_not_enough_data(tmp_path: Path) -> None:
    report = evaluated(tmp_path, [{**row, "customer": row["customer"] % 30} for row in loans(1_200)], robust_rows=0)
    assert report["quality"]["auc"]["value"] is not None and report["quality"]["auc"]["low"] is None
    assert report["quality"]["auc"]["why"] == "not enough data: 30 of 50 people"
    assert not any(one["shown"] for found in report["slices"]["found"].values() for one in found)


def test_a_risk_that_never_changes_is_reported(tmp_path: Path) -> None:
    app = APP.replace("when: score > 0.6, score: 0.7", "when: score >= 0, score: 0.5").replace(
        "score > 0.9,", "score > 2,"
    )
    app = app.replace("loans_1d > 1", "loans_1d > 1000")
    quality = evaluated(tmp_path, loans(1_500), app, robust_rows=0)["quality"]
    assert quality["auc"]["value"] == quality["auc"]["low"] == quality["auc"]["high"] == 0.5
    assert quality["average_precision"]["value"] == pytest.approx(quality["base_rate"]["value"])


def test_an_app_without_costs_has_no_cost(tmp_path: Path) -> None:
    app = APP[: APP.index("costs:")] + APP[APP.index("guards:") :]
    report = evaluated(tmp_path, loans(1_200), app, robust_rows=200)
    assert report["cost"]["why"] == "the app declares no costs" and "cost" not in report["slices"]["found"]
    assert all("cost_change" not in case for case in report["robustness"]["cases"])


def test_a_scorer_that_fails_in_all_decisions_is_named_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: RulesScorer, features: Any) -> Any:
        raise RuntimeError(self.name)

    monkeypatch.setattr(RulesScorer, "score", fails)
    report = evaluated(tmp_path, loans(600), robust_rows=0)
    assert report["quality"]["served"]["fallbacks"] == {"scorer_failed": 1.0, "scorers_absent": 1.0}
    words = "Decisions that lacked a part: scorer failed 100 %, scorers absent 100 %"
    assert words in (tmp_path / "out" / "report.html").read_text()
    assert words.partition(": ")[2] in (tmp_path / "out" / "model-card.md").read_text()


def test_an_app_without_scorers_and_an_empty_window_are_refused(tmp_path: Path) -> None:
    scorers = APP[APP.index("scorers:") : APP.index("fusion:")]
    with pytest.raises(NoScorers):
        evaluated(tmp_path, loans(100), APP.replace(scorers, ""))
    with pytest.raises(NothingToEvaluate, match="--from"):
        evaluated(tmp_path, loans(100), begins="2026-01-20T23:59:59")


def test_only_an_older_evaluation_is_replaced(tmp_path: Path) -> None:
    evaluated(tmp_path, loans(400), robust_rows=0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)
    evaluated(tmp_path, loans(400), robust_rows=0)
    (tmp_path / "out" / "journal.db").write_text("")
    with pytest.raises(NotAnEvaluation, match=r"journal\.db"):
        evaluated(tmp_path, loans(400))
    (tmp_path / "out" / "journal.db").unlink()
    (tmp_path / "out" / "model-card.md").unlink()
    with pytest.raises(NotAnEvaluation, match="an evaluation did not write it"):
        evaluated(tmp_path, loans(400))


# The page and the card.


class Page(HTMLParser):
    """Tags with their attributes; each is closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag


def test_the_page_needs_no_network_and_text_from_data_is_no_markup(plain: tuple[dict[str, Any], Path]) -> None:
    _, out = plain
    text = (out / "report.html").read_text()
    page = Page(text)
    names = {tag for tag, _ in page.tags}
    assert (
        not names & {"script", "img", "link", "iframe", "object", "b", "i"}
        and "north&quot; &amp; &lt;i&gt;west" in text
    )
    assert not re.search(r"""(src|href)=["'](?!#)""", text) and "url(" not in text and "@import" not in text
    assert not any(name.startswith("on") or name == "style" for _, given in page.tags for name in given)
    policy = next(given for tag, given in page.tags if given.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))
    links = {given["href"][1:] for tag, given in page.tags if tag == "a"}
    assert links <= set(ids) and {"quality", "robustness", "card"} <= links
    assert "prefers-color-scheme:dark" in text and ":focus-visible" in text and '<html lang="en">' in text


def test_a_reason_that_many_cells_share_is_written_once_below_their_table(tmp_path: Path) -> None:
    report = evaluated(tmp_path, [{**row, "default": False} for row in loans(1_500)], APP + FAIR, robust_rows=200)
    why = report["robustness"]["cases"][0]["auc_change"]["why"]
    assert all(case["auc_change"]["why"] == why for case in report["robustness"]["cases"])
    text = (tmp_path / "out" / "report.html").read_text()
    section = text[text.index('id="robustness"') : text.index('id="fairness"')]
    assert section.count(why) == section.count(f"<p>[1] {why}.</p>") == 1
    assert section.count("<td>- [1]</td>") >= len(report["robustness"]["cases"])


def test_every_table_has_a_caption_and_headings_and_is_reached_by_keyboard(plain: tuple[dict[str, Any], Path]) -> None:
    page = Page((plain[1] / "report.html").read_text())
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") > 8
    assert all(given.get("scope") in ("col", "row") for tag, given in page.tags if tag == "th")
    regions = [given for _, given in page.tags if given.get("role") == "region"]
    assert len(regions) == tags.count("table") and all(one["tabindex"] == "0" and one["aria-label"] for one in regions)
    headings = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(headings))


def test_the_card_says_what_it_was_judged_on_and_data_is_no_markdown(plain: tuple[dict[str, Any], Path]) -> None:
    report, out = plain
    card = (out / "model-card.md").read_text()
    assert f"{report['quality']['known']:,}, of them positive {report['quality']['positives']:,}" in card
    assert "](x)" not in card.replace("\\](x)", "") and "north" in card
    assert "<b" not in card.replace("\\<b", "") and "EUR" not in card.splitlines()[0]
    assert [line for line in card.splitlines() if line.startswith("## ")] == [
        "## Model", "## Intended use", "## Training data", "## Evaluation data", "## Figures",
        "## Where it fares worst", "## Fairness", "## Caveats",
    ]  # fmt: skip


def test_repeated_and_late_events_are_left_out_as_a_replay_leaves_them_out(tmp_path: Path) -> None:
    app = APP.replace("events:", "events:\n  lateness: 1m\n  late: reject")
    rows = loans(1_500)
    for i in range(0, 1_500, 7):  # Late; some of these come again, in time.
        at = np.datetime64(rows[i]["time"])
        rows[i] = {**rows[i], "time": str(at - np.timedelta64(7_200, "s"))}
    rows += [
        {**rows[k], "time": str(np.datetime64(rows[-1]["time"]) + np.timedelta64(k, "s"))} for k in range(900, 1_100)
    ]
    report = evaluated(tmp_path, rows, app, robust_rows=300)
    (tmp_path / "app.yaml").write_text(app)
    until_ns = instant_ns("2026-01-21")
    replayed = replay_events(
        str(tmp_path / "app.yaml"), Replay(tmp_path / "events.jsonl", tmp_path / "replay", until_ns=until_ns), silent
    )
    first = pq.read_table(tmp_path / "replay" / "decisions.parquet")["time"].to_numpy()
    # The replay decides from the first event on: its decisions before --from are not the evaluation's.
    since = int((first >= np.datetime64("2026-01-06", "ns")).sum())
    assert replayed["dead_letters"] > report["dead_letters"] > 0 and report["repeated"] > 0
    assert report["quality"]["decisions"] == since and replayed["repeated"] == report["repeated"]
    assert report["robustness"]["decisions"] == 300
