"""`homeostat evaluate` as it is typed: JSON, the screen, exit codes, versions of a registry, and as a job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from homeostat.adapters.disk.files import FILE_MODE
from homeostat.checks.registry import bundle_in
from homeostat.cli import main
from homeostat.stats.chance import uniform

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.
APP = """
homeostat: 1
app: till
events:
  entities: {customer: {}}
  fields:
    score: {type: number}
    region: {type: category, required: false}
  label: {name: bad}
scorers: {large: {kind: rules, rules: [{name: large, when: score > 0.6, score: 0.9}]}}
fusion: {kind: weighted}
actions: [allow, block]
guards: {fallback: {scorers_absent: allow}}
"""
COSTS = "costs: {allow: {positive: 10, negative: 0}, block: {positive: 0, negative: 2}}\n"
FAIR = "fairness: {groups: region, bounds: [{measure: selection_rate, difference_max: 0.1}]}\n"
WINDOW = ("--from", "2026-01-02", "--until", "2026-01-04")
SECTIONS = ("quality", "calibration", "slices", "robustness", "fairness", "cost", "latency_us")


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command on 1,500 events of three days; returns exit code and both outputs."""
    chance = [uniform(1, range(1_500), stream).tolist() for stream in range(2)]
    rows = [
        {"event_id": i, "time": f"2026-01-0{1 + i // 500}T{i % 500 // 60:02}:{i % 60:02}:00Z", "customer": i % 200,
         "score": (s := min(1.0, chance[0][i] + 0.3 * (i % 2))), "bad": chance[1][i] < s, "region": "ab"[i % 2]}
        for i in range(1_500)
    ]  # fmt: skip
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def called(*more: object, app: str = APP + COSTS + FAIR, window: tuple[str, ...] = WINDOW) -> tuple[int, str, str]:
        (tmp_path / "app.yaml").write_text(app)
        code, begun = 0, [tmp_path / "app.yaml", tmp_path / "events.jsonl", "--out", tmp_path / "out"]
        try:
            main(["evaluate", *map(str, [*begun, *window, *more])])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return called


def test_json_is_the_report_that_was_written(call: Any, tmp_path: Path) -> None:
    code, out, _ = call("--json", "--robust-rows", 100)
    assert code == 0 and json.loads(out) == json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(SECTIONS) <= set(json.loads(out))
    for path in (tmp_path / "out").iterdir():
        assert path.stat().st_mode & 0o777 == FILE_MODE


def test_people_see_one_screen(call: Any) -> None:
    code, out, err = call("--robust-rows", 100)
    lines = out.splitlines()
    assert code == 0 and len(lines) <= 30 and max(map(len, lines)) <= 79
    for words in ("AUC: 0.", "cost of an event: ", "worst fault: ", "fairness: FAIL", "latency (p50 / p99)"):
        assert words in out, words
    assert "report.html" in err


def test_whatever_was_found_it_exits_with_0_unless_it_is_to_fail_on_it(call: Any) -> None:
    assert call("--robust-rows", 0)[0] == 0
    code, out, err = call("--robust-rows", 0, "--fail-on", "unfair", "--json")
    assert code == 1 and json.loads(out)["fairness"]["verdict"] == "FAIL" and "--fail-on unfair: FAIL" in err
    assert call("--robust-rows", 0, "--fail-on", "unfair", app=APP + COSTS + FAIR.replace("0.1", "1"))[0] == 0
    code, _, err = call("--robust-rows", 0, "--fail-on", "not-fair", app=APP + COSTS + "fairness: {groups: region}\n")
    assert code == 1 and "no bound is declared" in err


@pytest.mark.parametrize(
    ("more", "app", "words"),
    [
        (("--fail-on", "worse"), APP + COSTS, "need --against"),
        (("--fail-on", "worse", "--against", "x"), APP, "declares no costs"),
        (("--fail-on", "unfair"), APP + COSTS, "declares no groups"),
        (("--alpha", "1"), APP, "--alpha"),
        (("--margin", "-1"), APP, "--margin"),
        (("--robust-rows", "-1"), APP, "--robust-rows"),
        (("--bundle", "absent"), APP, "absent"),
        (("--data", "absent"), APP, "no folder absent"),
    ],
)
def test_a_call_that_can_find_nothing_is_refused_at_once(
    call: Any, more: tuple[str, ...], app: str, words: str
) -> None:
    code, out, err = call(*more, app=app)
    assert code == 1 and out == "" and words in err


def test_a_window_without_events_and_one_that_ends_before_it_begins_are_refused(call: Any) -> None:
    code, _, err = call(window=("--from", "2027-01-01", "--until", "2027-01-02"))
    assert code == 1 and "no event lies between --from and --until: those that were read lie from 2026-" in err
    code, _, err = call(window=("--from", "2026-01-03", "--until", "2026-01-02"))
    assert code == 1 and "give an earlier --from" in err


def test_versions_of_a_registry_are_named_by_number(
    call: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    for k in (1, 2):
        with pytest.raises(SystemExit):
            main(["models", "import", str(bundle_in(tmp_path, k)), "--data", str(data), "--json"])
    capsys.readouterr()
    code, _, err = call("--data", data, "--bundle", "nosuch")
    assert code == 1 and "nosuch" in err
    code, _, err = call("--data", data, "--bundle", "1", "--against", "2")
    assert code == 1 and "trained on other features" in err  # Bundles of another app reach the check.


FOREST = """
homeostat: 1
app: forest
events:
  entities: {customer: {}}
  fields: {score: {type: number}}
  label: {name: bad}
scorers: {odd: {kind: isolation_forest, settings: {trees: 5, rows: 64}}}
fusion: {kind: weighted}
actions: [allow, block]
guards: {fallback: {scorers_absent: allow}}
"""


def test_two_versions_of_a_registry_are_evaluated_side_by_side(
    call: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = tmp_path / "app.yaml"
    app.write_text(FOREST + COSTS)
    kept = ("--register", "--data", str(tmp_path / "data"), "--json")
    for day in (2, 3):
        when = ("--until", f"2026-01-0{day}", "--out", str(tmp_path / f"bundle{day}"))
        with pytest.raises(SystemExit):
            main(["train", str(app), str(tmp_path / "events.jsonl"), *when, *kept])
    capsys.readouterr()
    code, out, err = call("--data", tmp_path / "data", "--bundle", 1, "--against", 2, "--json", app=FOREST + COSTS)
    assert code == 0, err
    report = json.loads(out)
    assert (
        report["version"] != report["against"]["version"]
        and report["bundle"]["parts"]["scorer.odd"] == "isolation_forest"
    )
    assert set(report["paired"]) == {"auc", "average_precision", "brier", "log_loss", "calibration_error", "cost"}
    assert report["judgement"]["verdict"] in ("PASS", "FAIL", "INCONCLUSIVE")
    twice = ("--fail-on", "worse", "--fail-on", "not-better", "--robust-rows", 0)
    code, _, err = call("--data", tmp_path / "data", "--bundle", 1, "--against", 1, *twice, app=FOREST + COSTS)
    assert code == 1 and "--fail-on not-better: INCONCLUSIVE" in err


def test_it_runs_as_a_job(call: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app.yaml").write_text(APP + COSTS)
    data = str(tmp_path / "jobs")
    words = [str(tmp_path / "app.yaml"), str(tmp_path / "events.jsonl"), *WINDOW, "--out", str(tmp_path / "out")]
    for arguments in (
        ["submit", "evaluate", "--data", data, "--", *words, "--robust-rows", "50"],
        ["run", "--once", "--data", data],
    ):
        with pytest.raises(SystemExit) as ended:
            main(["jobs", *arguments])
        assert not ended.value.code, capsys.readouterr().err
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["jobs", "show", "1", "--data", data, "--json"])
    job = json.loads(capsys.readouterr().out)
    assert job["state"] == "succeeded" and job["result"]["quality"]["known"] == 1_000
