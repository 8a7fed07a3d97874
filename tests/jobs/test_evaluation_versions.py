"""Evaluations of trained versions: the decisions of a replay bit for bit, and two versions by the same draws."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.support.worlds import DAY_NS, events_file, payments, small_app, trained

from homeostat.config.tree import App
from homeostat.engine.assembly import bundle_of, prepare
from homeostat.jobs.evaluation.deciding import Decider, scorers_of
from homeostat.jobs.evaluation.evaluate import Request, evaluate
from homeostat.jobs.evaluation.page import report_page
from homeostat.jobs.evaluation.window import window_of
from homeostat.jobs.replay import Request as Replay
from homeostat.jobs.replay import replay_events
from homeostat.models.bundle import load_bundle, save_bundle
from homeostat.models.training_set import silent

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

BEGINS_NS = int(payments().time_s.min()) * 10**9 + 28 * DAY_NS
ENDS_NS = BEGINS_NS + 10 * DAY_NS


def outcomes_file(folder: Path) -> Path:
    """The outcomes of all payments, each known three days later."""
    world = payments()
    path = folder / "outcomes.csv"
    lines = [
        f"{event},{label},{np.datetime64(int(second) + 3 * 86_400, 's')}Z"
        for event, label, second in zip(
            world.table()["TRANSACTION_ID"].to_pylist(), world.fraud, world.time_s, strict=True
        )
    ]
    path.write_text("\n".join(["event_id,label,time", *lines]) + "\n")
    return path


def test_decisions_are_those_of_a_replay_that_learned_at_that_moment(tmp_path: Path) -> None:
    """Adaptive fusion and a bandit learn on the way, so one outcome at another place would show."""
    outcomes = outcomes_file(tmp_path)
    request = Replay(
        events_file(), tmp_path / "replay", outcomes, train_until_ns=BEGINS_NS, until_ns=ENDS_NS, chunk_rows=5_000
    )
    replayed = replay_events(small_app(), request, silent)
    prepared = prepare(small_app())
    bundle = bundle_of(prepared, tmp_path / "replay" / "bundle")
    window = window_of(prepared, events_file(), outcomes, BEGINS_NS, ENDS_NS, silent)
    decider = Decider(prepared, bundle, window, scorers_of(prepared, bundle))
    table = pq.read_table(tmp_path / "replay" / "decisions.parquet")
    for run in (decider.run(), decider.run()):  # Each begins where the windows were.
        assert (run.risk == table["risk"].to_numpy()).all()
        assert (decider.run(rows_max=700).action == run.action[:700]).all()
        assert [prepared.app.actions[k] for k in run.action] == table["action"].to_pylist()
    folder = tmp_path / "replay" / "bundle"
    asked = Request(events_file(), tmp_path / "out", BEGINS_NS, ENDS_NS, folder, outcomes=outcomes, robust_rows=0)
    report = evaluate(small_app(), asked, silent)
    mine, theirs = report["quality"], replayed["quality"]
    for name in ("known", "positives", "too_young", "without_outcome"):
        assert mine[name] == theirs[name], name
    for name in ("auc", "average_precision", "brier"):
        assert mine[name]["value"] == pytest.approx(theirs[name], abs=1e-12)
    assert report["calibration"]["error"]["value"] == pytest.approx(theirs["calibration_error"])
    assert report["cost"]["total"] == pytest.approx(theirs["cost"])
    for arm in ("mildest", "rules"):
        assert report["cost"][arm]["value"] * theirs["known"] == pytest.approx(theirs[f"cost_{arm}"])


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A bundle beside one whose fusion is turned round, so that it ranks worse."""
    folder = tmp_path_factory.mktemp("beside")
    bad = worse(folder / "bad")
    request = Request(events_file(), folder / "out", BEGINS_NS, ENDS_NS, bad, trained(), robust_rows=500)
    return evaluate(even_costs(), request, silent)


def even_costs() -> App:
    """The app with costs that no amount moves, so that a few hundred events say which version is dearer."""
    app, prices = small_app(), {"allow": ("10", "0"), "challenge": ("3", "1"), "block": ("0", "4")}
    costs = {
        name: app.costs[name].model_copy(update={"positive": positive, "negative": negative})
        for name, (positive, negative) in prices.items()
    }
    return app.model_copy(update={"costs": costs})


def worse(out: Path) -> Path:
    bundle = load_bundle(trained())
    fusion = bundle.parts["fusion"]
    arrays = {name: -value if name == "weights" else value for name, value in fusion.arrays.items()}
    save_bundle(replace(bundle, parts={**bundle.parts, "fusion": replace(fusion, arrays=arrays)}), out)
    return out


def test_two_versions_are_compared_by_the_same_draws(beside: dict[str, Any]) -> None:
    paired = beside["paired"]
    for name, section in (("auc", "quality"), ("average_precision", "quality"), ("brier", "quality")):
        mine, theirs = beside[section][name], beside["against"][section][name]
        assert paired[name]["value"] == pytest.approx(mine["value"] - theirs["value"])
        assert paired[name]["better"] == "against"
    assert paired["cost"]["low"] > 0.0 and paired["cost"]["better"] == "against"
    judged = beside["judgement"]
    assert judged["verdict"] == "FAIL" and judged["why"].startswith("replay: it costs at least")
    assert judged["evidence"][0]["n"]["events"] == beside["quality"]["known"]


def test_both_versions_have_all_sections_and_the_page_has_both(beside: dict[str, Any], tmp_path: Path) -> None:
    sections = {"quality", "calibration", "slices", "robustness", "fairness", "cost", "latency_us"}
    assert sections <= set(beside) and sections <= set(beside["against"])
    page = report_page(beside)
    assert "the other one" in page and "difference, paired" in page and 'id="judgement"' in page


def test_a_version_beside_itself_differs_in_nothing(tmp_path: Path) -> None:
    ends_ns = BEGINS_NS + 2 * DAY_NS
    request = Request(events_file(), tmp_path / "out", BEGINS_NS, ends_ns, trained(), trained(), robust_rows=0)
    report = evaluate(small_app(), request, silent)
    for name, one in report["paired"].items():
        assert one["value"] == one["low"] == one["high"] == 0.0 and one["better"] is None, name
    assert report["judgement"]["verdict"] == "INCONCLUSIVE" and report["judgement"]["differing"] == 0.0
