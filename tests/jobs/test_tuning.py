"""Tuning from events to a bundle: what is learned from at which moment, budgets, constraints, failures, going on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import yaml
from tests.support.tuned import START_S, UNTIL, UNTIL_NS, app_file, events_file

from homeostat.adapters.optuna.storage import open_storage
from homeostat.engine.assembly import open_engine, prepare
from homeostat.errors import Conflict
from homeostat.jobs import tuning
from homeostat.jobs.training_run import TrainingRequest, train_on_events
from homeostat.jobs.tuning import TuningRequest, tune_on_events
from homeostat.jobs.tuning_report import write_study
from homeostat.models.bundle import load_bundle
from homeostat.models.training_set import NothingToLearn, silent
from homeostat.models.tuning.trials import NoneFits, State


def asked(folder: Path, events: Path | None = None, **options) -> TuningRequest:
    training = TrainingRequest(events or events_file(folder), folder / "bundle", UNTIL_NS, options.pop("from_ns", None))
    return TuningRequest(training, options.pop("storage", str(folder / "study.db")), **options)


def tuned(app: Path, request: TuningRequest, said: list[str] | None = None):
    return tune_on_events(app, request, silent, (lambda text: None) if said is None else said.append)


@pytest.mark.long
def test_the_winner_is_trained_on_everything_as_the_training_command_would_with_its_settings(tmp_path: Path) -> None:
    found = tuned(app_file(tmp_path), asked(tmp_path))
    assert found.report["trials"] == 6 and found.report["states"]["complete"] + found.report["states"]["pruned"] == 6
    assert found.report["best"]["value"] >= found.report["hand_made"]
    write_study(found, tmp_path / "report")
    settings = yaml.safe_load((tmp_path / "report" / "settings.yaml").read_text())
    by_hand = yaml.safe_load((tmp_path / "app.yaml").read_text())
    if settings:
        by_hand["scorers"]["boosted"]["settings"] = settings["scorers"]["boosted"]["settings"]
    (tmp_path / "hand.yaml").write_text(yaml.safe_dump(by_hand))
    window = found.report["best"]["params"]["window"]
    moment = UNTIL_NS - 3600 * 10**9
    share = {"all": None, "half": 0.5, "quarter": 0.25}[window]
    since = None if share is None else moment - round(share * (moment - START_S * 10**9))
    again = TrainingRequest(tmp_path / "events.jsonl", tmp_path / "again", UNTIL_NS, since)
    train_on_events(tmp_path / "hand.yaml", again, silent)
    one, other = load_bundle(tmp_path / "bundle"), load_bundle(tmp_path / "again")
    for name, part in other.parts.items():
        assert {key: array.tobytes() for key, array in part.arrays.items()} == {
            key: array.tobytes() for key, array in one.parts[name].arrays.items()
        }
    assert one.about["study"]["name"] == found.report["study"]
    with open_engine(tmp_path / "app.yaml", bundle=tmp_path / "bundle") as engine:  # It serves the app as it is.
        event = {"event_id": "x", "time": START_S, "customer": 3, "amount": 90.0}
        assert engine.decide(event)["action"] in ("allow", "block")


def test_a_fold_learns_only_from_outcomes_that_were_known_at_its_moment(tmp_path: Path) -> None:
    path = app_file(tmp_path)
    prepared = prepare(path)
    maturity = tuning.teaches(prepared.app, apart=False)
    request = asked(tmp_path)
    windows = tuning.windows_of(prepared.app, None, UNTIL_NS - maturity.age_ns)
    material, _ = tuning._material(prepared, request.training, maturity, prepared.app.tune, windows, silent)
    moment = (START_S + 86_400) * 10**9
    rows, _ = material.history.teaching(None, moment, maturity)
    newest = material.history.time_ns[rows].max()
    assert moment - 4200 * 10**9 < newest <= moment - 3600 * 10**9
    later = replace(material.history, label=np.where(material.history.time_ns > newest, np.nan, material.history.label))
    again, y = later.teaching(None, moment, maturity)
    assert again.tolist() == rows.tolist() and not np.isnan(y).any()


@pytest.mark.long
def test_outcomes_that_came_apart_teach_a_fold_from_their_own_time_on(tmp_path: Path) -> None:
    path, file = app_file(tmp_path), events_file(tmp_path)
    events = [json.loads(line) for line in file.read_text().splitlines()]
    outcomes = [{"event_id": e["event_id"], "label": e["fraud"], "time": e["time"] + 1800} for e in events]
    outcomes[10]["time"] = events[10]["time"] + 3 * 86_400  # Known long after its event is of age.
    (tmp_path / "outcomes.jsonl").write_text("\n".join(map(json.dumps, outcomes)))
    request = TrainingRequest(file, tmp_path / "bundle", UNTIL_NS, outcomes=tmp_path / "outcomes.jsonl")
    prepared = prepare(path)
    maturity = tuning.teaches(prepared.app, apart=True)
    material, _ = tuning._material(prepared, request, maturity, prepared.app.tune, {"all": 1.0}, silent)
    day = 86_400 * 10**9
    early, _ = material.history.teaching(None, START_S * 10**9 + day, maturity)
    late, _ = material.history.teaching(None, START_S * 10**9 + 5 * day, maturity)
    assert 10 not in early and 9 in early and 10 in late
    found = tune_on_events(path, TuningRequest(request, str(tmp_path / "s.db"), trials=2), silent, lambda text: None)
    assert found.report["trials"] == 2


@pytest.mark.long
def test_the_same_command_goes_on_with_its_study_and_another_one_is_kept_apart(tmp_path: Path) -> None:
    app, request = app_file(tmp_path), asked(tmp_path)
    first = tuned(app, replace(request, trials=3))
    more = tuned(app, replace(request, trials=6))
    assert [t.values for t in more.trials[:3]] == [t.values for t in first.trials] and len(more.trials) == 6
    whole = tuned(app, replace(request, trials=6, storage=str(tmp_path / "other.db")))
    assert [t.values for t in whole.trials] == [t.values for t in more.trials]
    assert whole.report["version"] == more.report["version"] or whole.report["best"] != more.report["best"]
    other = tuned(app, replace(request, trials=2, seed=5))
    assert other.report["study"] != first.report["study"]
    with pytest.raises(Conflict, match="begun with other events"):
        tuned(app, replace(request, trials=2, seed=6, study=first.report["study"]))


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["random", "cmaes", "grid"])
def test_every_sampler_begins_with_the_settings_of_the_app_file_and_repeats_itself(
    tmp_path: Path, sampler: str
) -> None:
    app = app_file(tmp_path)
    request = asked(tmp_path, sampler=sampler, trials=9)
    found = [tuned(app, replace(request, storage=str(tmp_path / f"{k}.db"))) for k in range(2)]
    assert [t.values for t in found[0].trials] == [t.values for t in found[1].trials]
    hand = found[0].trials[0].values
    assert (hand["boosted.depth"], hand["boosted.rate"], hand["window"]) == (2, 0.3, "all")
    points = {tuple(t.values.items()) for t in found[0].trials}
    assert len(points) == 9 or sampler != "grid"


@pytest.mark.long
def test_a_grid_ends_when_each_of_its_points_was_tried(tmp_path: Path) -> None:
    tune = "{folds: 1, fold: 2d, trials: 40, scorers: {boosted: {depth: {choices: [2, 3]}}}, windows: [4d]}"
    found = tuned(app_file(tmp_path, tune), asked(tmp_path, sampler="grid"))
    assert len({tuple(t.values.items()) for t in found.trials}) == len(found.trials) == 4


@pytest.mark.long
def test_a_trial_whose_training_fails_is_kept_with_its_error_and_the_others_go_on(tmp_path: Path, monkeypatch) -> None:
    def broken(self, fold, task):
        if task.settings["depth"] == 3:
            raise RuntimeError("the library gives up")
        return train(self, fold, task)

    train = tuning.Bench._train
    monkeypatch.setattr(tuning.Bench, "_train", broken)
    tune = "{folds: 1, fold: 2d, sampler: grid, scorers: {boosted: {depth: {choices: [1, 2, 3]}}}, windows: [4d]}"
    said: list[str] = []
    found = tuned(app_file(tmp_path, tune), asked(tmp_path), said)
    failed = [t for t in found.trials if t.state is State.FAILED]
    assert len(failed) == 2 and all(t.facts["error"] == "the library gives up" for t in failed)
    assert found.report["states"]["complete"] == 4 and sum("gives up" in text for text in said) == 2
    monkeypatch.setattr(tuning.Bench, "_train", lambda self, fold, task: 1 / 0)
    with pytest.raises(NoneFits, match="division by zero"):
        tuned(tmp_path / "app.yaml", asked(tmp_path, seed=3))


@pytest.mark.long
def test_the_winner_keeps_the_constraints_and_without_one_that_does_there_is_no_bundle(tmp_path: Path) -> None:
    sizes = "scorers: {boosted: {trees: {choices: [4, 40]}}}, windows: [4d], folds: 1, fold: 2d, sampler: grid"
    free = tuned(app_file(tmp_path, f"{{{sizes}}}"), asked(tmp_path))
    sizes_of = {
        trees: [t.facts["size"] for t in free.trials if t.values["boosted.trees"] == trees] for trees in "4 40".split()
    }
    bound = max(sizes_of["4"]) + 1
    assert bound < min(sizes_of["40"])
    held = tuned(app_file(tmp_path, f"{{{sizes}, constraints: {{size_max: {bound}}}}}"), asked(tmp_path))
    assert held.report["best"]["params"]["boosted.trees"] == "4" and held.report["best"]["size"] <= bound
    assert {t.feasible for t in held.trials} == {True, False}
    (tmp_path / "bundle" / "manifest.json").unlink()
    for file in (tmp_path / "bundle").iterdir():
        file.unlink()
    (tmp_path / "bundle").rmdir()
    floor = "constraints: {floors: [{metric: roc_auc, value: 0.9999}]}"
    with pytest.raises(NoneFits, match=r"roc_auc 0\.\d+, bound 0\.9999"):
        tuned(app_file(tmp_path, f"{{{sizes}, {floor}}}"), asked(tmp_path))
    assert not (tmp_path / "bundle").exists()


def test_a_second_is_enough_for_the_settings_of_the_app_file(tmp_path: Path, monkeypatch) -> None:
    clock = iter(range(0, 10**15, 2 * 10**9))  # Each look at the clock is two seconds later.
    monkeypatch.setattr(tuning.SystemClock, "monotonic_ns", staticmethod(lambda: next(clock)))
    found = tuned(app_file(tmp_path), asked(tmp_path, seconds=1))
    assert [t.slot for t in found.trials] == [0] and found.report["best"]["value"] == found.report["hand_made"]


@pytest.mark.parametrize(
    ("frauds", "tune", "match"),
    [
        (0.0, "{folds: 2, fold: 2d}", "no fold can be used: of .* 0 are positive"),
        (0.1, "{folds: 3, fold: 20d}", "too short to learn from and be judged on"),
    ],
)
def test_without_outcomes_of_both_kinds_or_time_nothing_is_tuned(tmp_path, frauds, tune, match) -> None:
    with pytest.raises(NothingToLearn, match=match):
        tuned(app_file(tmp_path, tune), asked(tmp_path, events_file(tmp_path, frauds=frauds)))
    assert not list(tmp_path.rglob("study.db*"))


def test_events_without_labels_are_refused_with_the_option_that_names_the_outcomes(tmp_path: Path) -> None:
    events = events_file(tmp_path)
    bare = [{**json.loads(line), "fraud": None} for line in events.read_text().splitlines()]
    events.write_text("\n".join(map(json.dumps, bare)))
    with pytest.raises(NothingToLearn, match=r"no event to learn from before .* has a known outcome: .* --outcomes"):
        tuned(app_file(tmp_path, "{folds: 2, fold: 2d}"), asked(tmp_path, events))


@pytest.mark.long
def test_fusions_cut_offs_and_costs_are_searched_where_the_app_has_them(tmp_path: Path) -> None:
    both = (
        "boosted: {kind: boosted_trees, settings: {trees: 4}}, forest: {kind: isolation_forest, settings: {trees: 5}}"
    )
    still = "scorers: {boosted: {}, forest: {}}, folds: 1, fold: 2d, trials: 4"
    fusion = f"{{{still}, metric: cost, fusion: {{kinds: [weighted, learned]}}}}"
    found = tuned(app_file(tmp_path, fusion, both), asked(tmp_path))
    assert {"fusion.kind", "fusion.weights.boosted", "fusion.weights.forest"} <= set(found.trials[0].values)
    assert min(t.value for t in found.trials if t.state is State.COMPLETE) == found.report["best"]["value"]
    cuts = tuned(app_file(tmp_path, f"{{{still}, metric: f1}}", both, costs=False), asked(tmp_path))
    assert cuts.trials[0].values["policy.cut"] == 0.5 and cuts.report["best"]["value"] >= cuts.report["hand_made"]


RUN = "from homeostat.cli import main; main()"


def command(folder: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-c", RUN, "tune", str(folder / "app.yaml"), str(folder / "events.jsonl"), "--until", UNTIL,
        "--out", str(folder / "bundle"), "--json", *more,
    ]  # fmt: skip


@pytest.mark.long
def test_a_tuning_that_is_killed_goes_on_and_finds_what_it_would_have_found(tmp_path: Path) -> None:
    app_file(tmp_path), events_file(tmp_path)
    storage = tmp_path / "killed.db"
    process = subprocess.Popen(
        command(tmp_path, "--storage", str(storage), "--trials", "40"), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("trial 3"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    kept = optuna.load_study(study_name=None, storage=open_storage(str(storage)))
    assert 4 <= len(kept.get_trials()) < 40
    request = asked(tmp_path, tmp_path / "events.jsonl", trials=12)
    again = tuned(tmp_path / "app.yaml", replace(request, storage=str(storage)))
    whole = tuned(tmp_path / "app.yaml", replace(request, storage=str(tmp_path / "whole.db")))
    assert [t.values for t in again.trials] == [t.values for t in whole.trials]
    assert [t.value for t in again.trials] == [t.value for t in whole.trials]
    assert again.report["best"]["params"] == whole.report["best"]["params"]


@pytest.mark.long
def test_two_processes_share_a_study_in_postgresql_and_no_trial_has_two_results(tmp_path, postgres) -> None:
    import psycopg

    name = f"tuning_{os.getpid()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = postgres.url.rsplit("/", 1)[0] + f"/{name}"
    folders = [tmp_path / "one", tmp_path / "two"]
    processes = []
    for folder in folders:
        folder.mkdir()
        app_file(folder), events_file(folder)
        more = ("--storage", url, "--trials", "14", "--study", "shared")
        processes.append(subprocess.Popen(command(folder, *more), stdout=subprocess.PIPE, text=True))
    printed = [json.loads(process.communicate(timeout=240)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert printed[0]["best"] == printed[1]["best"] and printed[0]["version"] == printed[1]["version"]
    study = optuna.load_study(study_name="shared", storage=open_storage(url))  # As Optuna's dashboard does.
    counted = [t for t in study.get_trials() if "lost" not in t.user_attrs]
    assert len(counted) == 14 == printed[0]["trials"] and len({t.number for t in counted}) == 14
    assert all(t.state.is_finished() for t in study.get_trials())
    with psycopg.connect(url) as connection:
        twice = connection.execute("SELECT trial_id FROM trial_values GROUP BY trial_id HAVING count(*) > 1").fetchall()
    assert twice == []
    study._storage._backend.engine.dispose()


def test_a_process_that_was_taken_for_dead_can_not_store_its_result(tmp_path: Path) -> None:
    from homeostat.adapters.optuna import study as studies
    from homeostat.models.tuning.space import ranged

    def opened():
        return studies.Study(str(tmp_path / "s.db"), "s", "q", [ranged("a.b", 1, 0, 2)], sampler="random", seed=1,
                             higher=True, prune=False, budget=2)  # fmt: skip

    hung, other = opened(), opened()
    first = hung.take()
    assert first is not None and first.slot == 0
    hung._storage.set_trial_user_attr(
        first.trial._trial_id, "worker", {"host": hung._worker["host"], "pid": 2**22, "started": "1"}
    )
    second = other.take()
    assert second is not None and (second.slot, second.number) == (0, 1) and second.values == first.values
    assert not hung.complete(first, 9.0) and other.complete(second, 1.0)
    third = hung.take()
    assert third is not None and third.slot == 1 and other.take() is None
    assert hung.complete(third, 2.0)
    assert [(t.slot, t.number, t.value) for t in other.trials()] == [(0, 1, 1.0), (1, 2, 2.0)] and other.lost() == 1
    hung.close(), other.close()


@pytest.mark.long
def test_the_study_is_written_with_plots_that_only_its_owner_may_read(tmp_path: Path) -> None:
    found = tuned(app_file(tmp_path), asked(tmp_path))
    names = write_study(found, tmp_path / "report")
    assert {"history.svg", "importances.svg", "study.json", "settings.yaml", "slice-boosted.rate.svg"} <= set(names)
    assert all((tmp_path / "report" / name).stat().st_mode & 0o077 == 0 for name in names)
    assert (tmp_path / "study.db").stat().st_mode & 0o077 == 0
    assert len(json.loads((tmp_path / "report" / "study.json").read_text())["all"]) == 6
    assert "average precision" in (tmp_path / "report" / "history.svg").read_text()
