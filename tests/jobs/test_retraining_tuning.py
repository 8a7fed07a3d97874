"""Rounds that tune: begun by their triggers, at a low load, and brought to the promotion like any other."""

from __future__ import annotations

import json
from contextlib import closing

import pytest
from tests.support.retrained import World, ignorant
from tests.support.tuned import TUNE

from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.adapters.optuna.study import Study
from homeostat.adapters.process import load as machine
from homeostat.config.load import load_app
from homeostat.config.tune import Tune
from homeostat.jobs import tuning
from homeostat.jobs.retraining_record import rounds
from homeostat.jobs.retraining_tuning import STUDIES_MAX, study_folder, too_busy
from homeostat.jobs.tuning import tune_on_events
from homeostat.jobs.tuning_space import applied, differences, in_bundle, space_of, with_settings
from homeostat.models.bundle import load_bundle

ON_REQUEST = "{least: {outcomes: 100, positives: 10}, validation: 2d, autonomy: full, library: 0, cool_down: 0s}"
pytestmark = pytest.mark.long


class Killed(BaseException):
    """The end of a process."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return ignorant(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def world_of(tmp_path, bundle, monkeypatch):
    made = []
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (0.0, 0.0, 0.0))

    def make(tune: str = TUNE, retrain: str = ON_REQUEST) -> World:
        made.append(World(tmp_path, bundle, retrain, tune))
        return made[-1]

    yield make
    for world in made:
        world.engine.close()


def more(keys: str) -> str:
    return f"{{{keys}, {TUNE[1:]}"


def lineage(world: World, version: str):
    with closing(SqliteRegistry(world.folder)) as registry:
        return registry.get(version).lineage, load_bundle(registry.fetch(version))


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ("every: 90d", "not due: tuning is due by the calendar at"),
        ("every: 1ms", "due by tune.every: "),
        ("when: {below: 0.9}", "due by tune.when: average precision is"),
        ("when: {below: 0.05}", "not due: average precision is"),
        ("when: {metric: cost, above: 0.5}", "due by tune.when: cost is"),
    ],
)
def test_each_trigger_says_why_it_is_due_or_not(world_of, capsys, keys, why):
    world = world_of(more(keys))
    world.decide(1506)
    assert world.call(capsys, "retrain", world.app, "--status")["why"].startswith(why)


def test_a_tuned_version_comes_to_its_promotion_and_its_settings_stay_at_the_next_training(world_of, capsys):
    world = world_of(more("every: 1ms, metric: log_loss"))  # By the order of risks, no settings are better.
    world.decide(1506)
    states = [world.step(capsys)["state"] for _ in range(3)]
    assert states == ["quiet", "tune", "judge"]
    look = world.step(capsys)
    while look["state"] != "shadow":
        look = world.step(capsys)
    world.decide(400)
    world.call(capsys, "shadow", world.app, "--once")
    while look["state"] != "ramp":
        look = world.step(capsys)
    world.decide(300)
    world.call(capsys, "models ramp", "--app", world.app, "--once")
    while world.step(capsys)["state"] not in ("idle", "due"):
        pass
    assert world.champion() == look["version"] != world.first
    told = world.call(capsys, "retrain", world.app, "--status")["rounds"][0]["steps"]
    assert [one["step"] for one in told][:3] == ["begun", "quiet", "version"]
    assert told[2]["value"] == "tuned" and "6 trials" in told[2]["why"] and "settings of the app file" in told[2]["why"]
    first, bundle = lineage(world, look["version"])
    study = first.metrics["study"]
    found = study["settings"]["scorers"]["boosted"]["settings"]
    assert study["trials"] == 6 and bundle.parts["scorer.boosted"].settings.items() >= found.items()
    left = {one.name for one in (world.folder / "tuning" / "1").iterdir()}
    assert {"study.db", "study.json", "settings.yaml", "history.svg"} <= left and not {"journal", "bundle"} & left

    assert world.step(capsys, "--now", "--reason", "once more")["state"] == "train"
    again = world.step(capsys)["version"]
    second, trained = lineage(world, again)
    assert second.metrics["study"] == study and second.parents == (look["version"],)
    assert trained.parts["scorer.boosted"].settings == bundle.parts["scorer.boosted"].settings


def test_a_changed_app_file_ends_the_settings_of_a_tuning(world_of, capsys):
    world = world_of()
    world.decide(1506)
    assert world.step(capsys, "--now", "--tune")["state"] == "quiet"
    world.step(capsys)
    version = world.step(capsys)["version"]
    world.call(capsys, "retrain", world.app, "--stop")
    world.call(capsys, "models promote", version, "--reason", "it is good", "--yes", "--wait", "0", code=1)
    world.app.write_text(world.app.read_text().replace("trees: 4", "trees: 5"))
    world.step(capsys, "--now")
    lineage_of, bundle = lineage(world, world.step(capsys)["version"])
    assert "study" not in lineage_of.metrics and bundle.parts["scorer.boosted"].settings["trees"] == 5


def test_a_busy_machine_waits_until_its_patience_is_over(world_of, capsys, monkeypatch):
    world = world_of(more("every: 1ms"))
    world.decide(1506)
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (1e3, 0.0, 0.0))
    assert world.step(capsys)["state"] == "quiet"
    look = world.step(capsys)
    assert look["waits"] and look["state"] == "quiet" and "waits for a load of 0.5 for each processor" in look["why"]
    with closing(SqliteStatements(world.folder)) as statements:
        one = rounds(statements)[0]
    begun_ns = one.steps["begun"].at_ns
    patient = Tune()
    assert too_busy(one, patient, 3.0, begun_ns + patient.load_patience - 1)
    assert not too_busy(one, patient, 3.0, begun_ns + patient.load_patience)
    assert not too_busy(one, patient, 0.5, begun_ns)


def test_a_tuning_that_was_killed_goes_on_with_its_trials_on_the_same_events(world_of, capsys, monkeypatch):
    world = world_of()
    world.decide(1506)
    world.step(capsys, "--now", "--tune")
    world.step(capsys)
    take, taken, run, seen = Study.take, [], tuning._run, []

    def killed(study):
        if len(taken) == 3:
            raise Killed
        taken.append(take(study))
        return taken[-1]

    monkeypatch.setattr(Study, "take", killed)
    with pytest.raises(Killed):
        world.step(capsys)
    monkeypatch.setattr(Study, "take", take)
    world.decide(50)  # The journal goes on meanwhile.
    monkeypatch.setattr(tuning, "_run", lambda *given: seen.append(run(*given)) or seen[-1])
    assert world.step(capsys)["state"] == "judge"
    study = json.loads((world.folder / "tuning" / "1" / "study.json").read_text())
    assert study["trials"] == 6 and len(taken) == len(seen) == 3


def test_an_app_file_that_changed_after_a_kill_begins_another_study(world_of, capsys, monkeypatch):
    world = world_of()
    world.decide(1506)
    world.step(capsys, "--now", "--tune")
    world.step(capsys)
    run = tuning._run
    monkeypatch.setattr(tuning, "_run", lambda *given: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        world.step(capsys)
    monkeypatch.setattr(tuning, "_run", run)
    world.app.write_text(world.app.read_text().replace("trials: 6", "trials: 2").replace("rate: 0.3", "rate: 0.4"))
    assert world.step(capsys)["state"] == "judge"
    study = json.loads((world.folder / "tuning" / "1" / "study.json").read_text())
    assert study["trials"] == 2


def test_a_tuning_in_which_no_trial_keeps_the_constraints_ends_its_round(world_of, capsys):
    world = world_of(more("constraints: {size_max: 1}"))
    world.decide(1506)
    world.step(capsys, "--now", "--tune")
    world.step(capsys)
    world.step(capsys)
    ended = world.call(capsys, "retrain", world.app, "--status")["rounds"][0]["steps"][-1]
    assert ended["value"] == "failed" and "size" in ended["why"]


def test_to_tune_is_asked_for_together_with_now(world_of, capsys):
    world = world_of()
    assert "add --now" in world.call(capsys, "retrain", world.app, "--tune", code=1)["err"]


def test_the_newest_studies_are_kept_and_events_of_the_newest_alone(tmp_path):
    for number in range(1, STUDIES_MAX + 3):
        with study_folder(tmp_path, number) as folder:
            (folder / "journal").mkdir()
            (folder / "study.db").touch()
            if number == STUDIES_MAX + 1:
                continue
    left = sorted(int(one.name) for one in (tmp_path / "tuning").iterdir())
    assert left == list(range(3, STUDIES_MAX + 3))
    assert not list((tmp_path / "tuning").glob("*/journal"))


def test_settings_of_a_tuning_make_the_tuned_app_from_the_declared_one(tmp_path, bundle):
    from tests.support.tuned import app_file

    app = load_app(app_file(tmp_path, "{windows: [1d]}"))
    space = [one for one in space_of(app, {"1d": 1.0, "2d": 2.0}) if in_bundle(one.name)]
    assert {one.name.partition(".")[0] for one in space} == {"window", "boosted"}
    values = {one.name: one.hand for one in space} | {"boosted.trees": 9.0, "boosted.rate": 0.25}
    tuned = applied(app, values, space)
    again = with_settings(app, json.loads(json.dumps(differences(app, tuned))))
    assert again.scorers["boosted"].settings == tuned.scorers["boosted"].settings


def test_what_an_app_file_alone_can_hold_is_not_tried(tmp_path):
    from tests.support.tuned import BOOSTED, UNTIL_NS, app_file, events_file

    from homeostat.jobs.training_run import TrainingRequest
    from homeostat.jobs.tuning import TuningRequest

    scorers = f"{BOOSTED}, forest: {{kind: isolation_forest, settings: {{trees: 4, rows: 32}}}}"
    tune = "{folds: 1, fold: 2d, trials: 2, scorers: {boosted: {depth: {low: 1, high: 3}}, forest: {}}}"
    app = app_file(tmp_path, tune, scorers, "{kind: weighted}")
    training = TrainingRequest(events_file(tmp_path), tmp_path / "bundle", UNTIL_NS)
    request = TuningRequest(training, str(tmp_path / "study.db"), carried=True)
    found = tune_on_events(app, request, lambda what, share: None, lambda sentence: None)
    assert {one.name for one in found.space} == {"window", "boosted.depth"}
