"""The benchmarks' table: figures, targets, what each benchmark prints, and what is missing."""

from __future__ import annotations

import doctest
import json
import sys

import pytest
from benchmarks.figures import BEGIN, END, Figure, as_markdown, as_text, packed, summary, unpacked, write_markdown

from benchmarks import __main__ as bench
from benchmarks import figures, readings

SOME = [
    Figure("replay", "time against the floor", 1.7, "times", "<= 2"),
    Figure("peers", "against River", 12.0, "times", ">= 20", "a | note"),
    Figure("peers", "against pandas", None, note="pandas is not installed"),
    Figure("startup", "help", 0.1, "s"),
]


@pytest.mark.parametrize("module", [figures, readings])
def test_examples_hold(module):
    assert doctest.testmod(module).failed == 0


def test_every_figure_stands_beside_its_target_with_a_verdict():
    text = as_text(SOME, ["replay: simulated payments"], "2 cores")
    line = {row.split("  ")[1]: row for row in text.splitlines() if row.startswith("  ")}
    assert line["time against the floor"].endswith("<= 2    ok")
    assert line["against River"].endswith("not reached   (a | note)")
    assert line["against pandas"].endswith("not measured  (pandas is not installed)")
    assert "replay: simulated payments" in text
    assert summary(SOME) == "Targets: 1 ok, 1 not reached, 1 not measured."


def test_figures_survive_being_printed_as_json():
    assert unpacked(json.loads(json.dumps(packed(SOME, [])))) == SOME


def test_a_page_keeps_its_words_around_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    for _ in range(2):
        write_markdown(page, as_markdown(SOME, ["a note"], "2 cores"))
    text = page.read_text()
    assert text.startswith("# Title") and text.endswith("After.\n")
    assert "old" not in text and text.count("time against the floor") == 1
    assert "against River (a \\| note)" in text and "- a note" in text


def test_quality_is_the_mean_of_the_folds_and_its_lead_over_the_best_scorer():
    folds = {
        "a": {"risk": [0.9, 0.75, 0.33], "score.x": [0.8, 0.7, 0.32], "score.y": [0.8, 0.5, 0.2]},
        "b": {"risk": [0.9, 0.73, 0.31], "score.x": [0.8, 0.72, 0.33], "score.y": [0.8, 0.6, 0.2]},
    }
    folds["a"]["fusion.ensemble"], folds["b"]["fusion.ensemble"] = [0.9, 0.99, 0.9], [0.9, 0.97, 0.9]
    found = {f.name: f for f in readings.figures_of("quality", {"7": folds}, {})}
    assert found["7 days of training, average precision"].value == pytest.approx(0.74)
    assert found["7 days of training, average precision"].verdict == "ok"
    assert found["7 days, average precision fused beyond the best single scorer"].value == pytest.approx(0.03)
    assert found["7 days, average precision of the ensemble fusion"].value == pytest.approx(0.98)
    assert found["7 days, CP@100 fused beyond the best single scorer"].verdict == "not reached"


def test_policies_must_be_below_the_best_fixed_thresholds_with_their_whole_interval():
    def row(high):
        return {"against_best_fixed": {"estimate": -5.0, "low": -9.0, "high": high}}

    harm = {"harm": {"estimate": 100.0, "low": 50.0, "high": 150.0}, "charged_in_a_day_max": 4.0}
    table = {"bandit": row(-1.0) | harm, "ppo": row(0.5)}
    found = {
        "policies": table, "targets": {"bandit": {}, "ppo": {}}, "seeds": 20, "budget": 300.0, "budget_a_day": 5.0,
        "ppo_training_s": 30.0,
    }  # fmt: skip
    verdicts = [f.verdict for f in readings.figures_of("policies", found, {})]
    assert verdicts == ["ok", "ok", "ok", "not reached", ""]


def test_scorers_are_read_in_a_batch_and_alone():
    row = {"scorer": "forest", "batch_us": 1.0, "one_us": 20.0, "batch_ratio": 3.0, "one_ratio": 30.0}
    found = readings.figures_of("scorers", [row | {"target_batch_us": 1.5, "target_one_us": 15.0}], {})
    assert [f.verdict for f in found] == ["ok", "not reached"]


def test_serving_and_latency_have_their_targets():
    quantiles = {"p50": 400.0, "p99": 900.0, "p999": 1500.0}
    found = {"rate": 300.0, "noop": quantiles, "decide": quantiles, "ratio_p99": 1.0, "app": "payments"}
    assert readings.figures_of("serving", found, {})[0].verdict == "ok"
    slow = readings.figures_of("latency", {"one": {"p50_us": 100, "p99_us": 310, "p999_us": 900}}, {})
    assert [f.verdict for f in slow] == ["", "not reached", ""]


def test_what_can_not_be_measured_is_said(monkeypatch):
    missing = bench.run(bench.Benchmark("no_such_thing"), False, None)
    assert missing.failed and missing.figures[0].verdict == "not measured"
    monkeypatch.delenv("HOMEOSTAT_DATA", raising=False)
    needy = bench.run(bench.Benchmark("quality", data=True), False, None)
    assert not needy.failed and "HOMEOSTAT_DATA" in needy.notes[0]


def test_a_benchmark_that_breaks_is_shown_with_its_last_words(monkeypatch):
    broken = [sys.executable, "-c", "import sys; sys.exit('no room left')"]
    assert bench.ask(broken) == (1, "", "no room left")
    monkeypatch.setattr(bench, "ask", lambda arguments: (1, "", "no room left"))
    found = bench.run(bench.Benchmark("startup"), False, None)
    assert found.failed and found.notes == ["startup: not measured, it ended with status 1: no room left"]


def test_saved_results_are_put_together_and_later_parts_replace_earlier_ones(tmp_path, capsys):
    first = packed([SOME[0], SOME[3]], ["one"], machine="m")
    later = packed([Figure("startup", "help", 0.05, "s")], ["two", "one"], machine="m")
    for name, found in (("a", first), ("b", later)):
        (tmp_path / name).write_text(json.dumps(found))
    page, saved = tmp_path / "page.md", tmp_path / "all.json"
    files = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert bench.main(["--read", *files, "--markdown", str(page), "--save", str(saved), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(saved.read_text())
    assert [f.value for f in unpacked(printed)] == [1.7, 0.05] and printed["notes"] == ["one", "two"]
    assert page.read_text().count("| help |") == 1


def test_strictness_is_in_the_exit_status(tmp_path, capsys):
    file = tmp_path / "a"
    file.write_text(json.dumps(packed([SOME[1]], [], machine="m")))
    assert bench.main(["--read", str(file)]) == 0
    assert bench.main(["--read", str(file), "--strict"]) == 1


def test_only_the_benchmarks_asked_for_are_run():
    assert [b.name for b in bench.chosen_ones(["startup", "replay"])] == ["replay", "startup"]
    assert len(bench.chosen_ones(None)) == len(bench.BENCHMARKS)


@pytest.mark.long
def test_the_startup_benchmark_runs():
    status, printed, _ = bench.ask(
        [sys.executable, "-m", "benchmarks.startup", "--starts", "help", "--repeats", "1", "--json"]
    )
    assert status == 0
    assert readings.figures_of("startup", json.loads(printed), {})[0].target == "<= 0.2"
