"""From a trigger to a promotion: each step begins with what is stored alone, as after kill -9."""

from __future__ import annotations

from contextlib import closing

import pytest
from tests.support.retrained import RETRAIN, World, ignorant
from tests.support.tuned import START_S

from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.adapters.disk.sqlite.registry import SqliteRegistry
from homeostat.adapters.disk.sqlite.settings import SqliteSettings
from homeostat.adapters.disk.sqlite.statements import SqliteStatements
from homeostat.cli import main
from homeostat.cli.retrain import leave_retraining
from homeostat.engine.assembly import prepare
from homeostat.jobs import retraining, retraining_traffic, retraining_versions
from homeostat.jobs.retraining_record import record, rounds
from homeostat.jobs.shadow_places import place_in
from homeostat.models.deployments import promote
from homeostat.models.training_set import NothingToLearn
from homeostat.records.job import JobState
from homeostat.records.statements import Statement, StatementKind


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return ignorant(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def world_of(tmp_path, bundle):
    made = []

    def make(retrain: str = RETRAIN) -> World:
        made.append(World(tmp_path, bundle, retrain))
        return made[-1]

    yield make
    for world in made:
        world.engine.close()


def until(world, capsys, *states, most=12):
    """Steps until one of the states; returns the last look."""
    for _ in range(most):
        look = world.step(capsys)
        if look["state"] in states:
            return look
    raise AssertionError(f"it is {look} after {most} steps")


def shadowed(world, capsys):
    """A round whose version has decided in shadow."""
    look = until(world, capsys, "shadow")
    world.decide(500)
    world.call(capsys, "shadow", world.app, "--once")
    return look


def steps(world, capsys):
    found = world.call(capsys, "retrain", world.app, "--status")["rounds"][0]["steps"]
    return {one["step"]: one for one in found}


@pytest.mark.long
def test_a_round_goes_from_its_trigger_to_the_promotion(world_of, capsys):
    world = world_of()
    assert "0 of 300 new outcomes" in world.step(capsys)["why"]
    world.decide(1500)
    version = shadowed(world, capsys)["version"]
    assert until(world, capsys, "ramp")["version"] == version
    world.decide(300)
    world.call(capsys, "models ramp", "--app", world.app, "--once")
    assert until(world, capsys, "idle")["waits"]
    assert world.champion() == version != world.first
    told = steps(world, capsys)
    assert list(told) == ["begun", "version", "judged", "shadowed", "ended"]
    assert told["ended"]["value"] == "promoted" and told["shadowed"]["value"] == "PASS"
    assert {one["actor"] for one in told.values()} == {"homeostat"} and "new outcomes" in told["begun"]["why"]
    changes = [(change.scope, change.actor) for change in world.changes()[1:]]
    keeper = "homeostat canary"
    assert changes == [
        ("challenger", "homeostat"), ("canary", "homeostat"), ("champion", keeper), ("canary", keeper),
        ("challenger", "homeostat"),
    ]  # fmt: skip
    assert all("retraining 1" in change.reason for change in world.changes()[1:3])
    with closing(SqliteRegistry(world.folder)) as registry:
        lineage = registry.get(version).lineage
    assert lineage.parents == (world.first,) and lineage.actor == "homeostat" and "outcomes" in lineage.reason
    assert lineage.metrics["rows"] > 100


@pytest.mark.long
def test_it_cools_down_and_a_request_ends_that(world_of, capsys):
    world = world_of()
    world.decide(1500)
    until(world, capsys, "challenge", "shadow")
    world.call(capsys, "retrain", world.app, "--stop", "--reason", "not today")
    assert "cools down until" in world.step(capsys)["why"]
    assert world.step(capsys, "--now", "--reason", "a new product")["round"] == 2
    assert "request: a new product" in steps(world, capsys)["begun"]["why"]


@pytest.mark.parametrize(
    ("trigger", "why"),
    [
        ("every: 30d", "not due: due by the calendar"),
        ("every: 1ms", "have passed since"),
        ("outcomes: 5000", "1,506 of 5,000 new outcomes"),
        ("quality: {below: 0.9}", "average precision is"),
        ("quality: {below: 0.05}", "not due: average precision is"),
        ("quality: {metric: cost, above: 0.5}", "cost is"),
        ("quality: {metric: cost, above: 1000}", "not due: cost is"),
        ("feedback: {weight: 3}", "not due: feedback of weight 0 of 3"),
        ("window: 300d", "no trigger is declared"),
    ],
)
def test_each_trigger_says_why_it_is_due_or_not(world_of, capsys, trigger, why):
    world = world_of(f"{{{trigger}, least: {{outcomes: 100, positives: 10}}, validation: 2d}}")
    world.decide(1506)
    look = world.call(capsys, "retrain", world.app, "--status")
    due = why.startswith(("have", "average", "cost"))
    assert why.split("1,")[-1] in look["why"] and look["state"] == ("due" if due else "idle")


def test_outcomes_count_from_the_last_round_on(world_of, capsys):
    world = world_of(RETRAIN.replace("validation", "cool_down: 0s, validation"))
    world.decide(1500)
    assert world.step(capsys)["round"] == 1
    world.call(capsys, "retrain", world.app, "--stop")
    assert "0 of 300 new outcomes" in world.step(capsys)["why"]
    world.decide(400)
    assert world.step(capsys)["round"] == 2


def test_with_too_little_data_nothing_begins_and_no_request_changes_that(world_of, capsys):
    world = world_of(RETRAIN.replace("outcomes: 100", "outcomes: 5000"))
    world.decide(1000)
    for words in ([], ["--now"]):
        look = world.step(capsys, *words)
        assert look["state"] == "idle" and "not enough data to train on" in look["why"] and "of 5,000" in look["why"]
    assert world.call(capsys, "retrain", world.app, "--status")["rounds"] == []


@pytest.mark.long
def test_assisted_proposes_each_change_and_waits_for_a_person(world_of, capsys):
    world = world_of(RETRAIN.replace("full", "assisted"))
    world.decide(1500)
    look = until(world, capsys, "challenge")
    version = look["version"]
    for _ in range(3):
        look = world.step(capsys)
    assert look["waits"] and "a person approves" in look["why"] and len(world.changes()) == 1
    assert "waits for an approval" in world.call(capsys, "retrain", world.app, "--approve", world.first, code=1)["err"]
    world.call(capsys, "retrain", world.app, "--approve", version, "--actor", "ann", "--reason", "looks good")
    shadowed(world, capsys)
    assert steps(world, capsys)["approved_challenger"]["actor"] == "ann"
    assert until(world, capsys, "canary")["version"] == version
    assert world.step(capsys)["waits"] and len(world.changes()) == 2
    world.call(capsys, "models canary", version, "--app", world.app, "--yes", "--no-keep")  # By hand is as good.
    assert world.step(capsys)["state"] == "ramp"


@pytest.mark.long
def test_supervised_announces_and_acts_after_its_hold_unless_somebody_objects(world_of, capsys, monkeypatch):
    world = world_of(RETRAIN.replace("full", "supervised, hold: 2h, cool_down: 0s"))
    world.decide(1500)
    assert until(world, capsys, "challenge")["state"] == "challenge"
    look = world.step(capsys)
    assert look["waits"] and "unless a person stops it" in look["why"] and len(world.changes()) == 1
    ahead, asked = (2 * 3600 + 60) * 10**9, retraining.approval
    monkeypatch.setattr(retraining, "approval", lambda *given: asked(*given[:-1], given[-1] + ahead))
    assert until(world, capsys, "shadow") and world.changes()[-1].scope == "challenger"
    world.call(capsys, "retrain", world.app, "--stop", "--actor", "bob", "--reason", "no")
    told = steps(world, capsys)
    assert (told["ended"]["value"], told["ended"]["actor"]) == ("stopped", "bob")
    assert world.changes()[-1].scope == "challenger" and world.changes()[-1].body is None
    assert "no retraining goes on" in world.call(capsys, "retrain", world.app, "--stop", code=1)["err"]


def test_a_training_that_fails_ends_its_round(world_of, capsys, monkeypatch):
    def fails(*given, **named):
        raise NothingToLearn("no row of the two kinds")

    world = world_of()
    world.decide(1500)
    world.step(capsys)
    monkeypatch.setattr(retraining_versions, "train_on_events", fails)
    assert world.step(capsys)["state"] == "idle"
    ended = steps(world, capsys)["ended"]
    assert ended["value"] == "failed" and "no row of the two kinds" in ended["why"]


def test_a_kill_between_registering_and_the_record_trains_nothing_again(world_of, capsys, monkeypatch):
    world = world_of()
    world.decide(1500)
    world.step(capsys)

    class Killed(BaseException):
        pass

    def killed(*given, **named):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("homeostat.jobs.retraining.record", killed)
        with pytest.raises(Killed):
            world.step(capsys)
        patch.undo()
        patch.setattr(retraining_versions, "train_on_events", killed)
        assert world.step(capsys)["state"] == "judge"
    with closing(SqliteRegistry(world.folder)) as registry:
        assert len(registry.versions()) == 2


@pytest.mark.long
def test_a_kill_between_the_end_and_taking_back_leaves_no_role(world_of, capsys):
    world = world_of()
    world.decide(1500)
    until(world, capsys, "shadow")
    with closing(SqliteStatements(world.folder)) as statements:
        (one,) = rounds(statements)
        record(statements, one.number, "ended", "killed here", version=one.version, value="stopped")
    assert world.step(capsys)["state"] == "idle"
    assert world.changes()[-1].body is None and "killed here" in world.changes()[-1].reason


@pytest.mark.long
def test_of_two_at_once_each_step_is_taken_once(world_of, capsys, monkeypatch):
    world = world_of()
    world.decide(1500)
    before = retraining.record
    inside = []

    def racing(*given, **named):
        if not inside:  # The other process takes the same step first.
            inside.append(True)
            world.step(capsys)
            inside.clear()
        return before(*given, **named)

    monkeypatch.setattr(retraining, "record", racing)
    look = world.step(capsys)
    for _ in range(4):
        look = world.step(capsys)
    assert look["round"] == 1 and look["state"] == "shadow"
    with closing(SqliteRegistry(world.folder)) as registry:
        assert len(registry.versions()) == 2
    assert len(world.changes()) == 2


@pytest.mark.long
def test_a_version_that_was_better_once_is_taken_from_the_library(world_of, capsys, monkeypatch):
    world = world_of(RETRAIN.replace("library: 0", "library: 3"))
    world.decide(1500)
    version = until(world, capsys, "judge")["version"]
    world.call(capsys, "retrain", world.app, "--stop")
    world.step(capsys, "--now", "--reason", "the regime returns")
    monkeypatch.setattr(retraining_versions, "train_on_events", None)  # It is not called.
    look = world.step(capsys)
    assert (look["state"], look["version"]) == ("judge", version)
    found = steps(world, capsys)["version"]
    assert found["value"] == "library" and "it saves at least" in found["why"]
    assert world.step(capsys)["state"] == "challenge"
    assert steps(world, capsys)["judged"]["value"] == "PASS"


@pytest.mark.long
def test_a_library_without_a_better_version_leaves_it_to_training(world_of, capsys):
    world = world_of(RETRAIN.replace("library: 0", "library: 3"))
    world.decide(1500)
    until(world, capsys, "judge")
    assert steps(world, capsys)["version"]["value"] == "trained"


@pytest.mark.long
def test_roles_that_a_person_gave_stay(world_of, capsys):
    world = world_of()
    world.decide(1500)
    version = until(world, capsys, "judge")["version"]
    with closing(SqliteRegistry(world.folder)) as registry, closing(SqliteSettings(world.folder)) as settings:
        promote(settings, registry, version, "ann", "I know it", "challenger")
    assert until(world, capsys, "shadow")
    world.call(capsys, "retrain", world.app, "--stop")
    assert world.step(capsys)["state"] == "idle" and world.changes()[-1].body == {"version": version}


def test_feedback_is_due_by_its_weight(world_of, capsys):
    world = world_of(RETRAIN.replace("outcomes: 300", "feedback: {weight: 1}"))
    world.decide(1500)
    assert "feedback of weight 0 of 1" in world.call(capsys, "retrain", world.app, "--status")["why"]
    with closing(SqliteStatements(world.folder)) as statements:
        for k in range(1, 6):
            statements.append(
                Statement(StatementKind.FEEDBACK, "decision", f"e{k}", "label", True, source=f"desk {k}", actor="ann")
            )
    look = world.call(capsys, "retrain", world.app, "--status")
    assert look["state"] == "due" and "due by feedback" in look["why"]


class Paused(Exception):
    """The next look would come."""


def watched(world, monkeypatch, looks):
    """`homeostat models retraining`, which looks so often and is then broken off, as by kill -9."""
    left = [looks]

    def pause(seconds):
        left[0] -= 1
        if left[0] <= 0:
            raise Paused

    monkeypatch.setattr("homeostat.adapters.process.pause.pause", pause)
    with pytest.raises(Paused):
        main(["models", "retraining", str(world.app), "--data", str(world.folder)])


def test_who_looks_on_leaves_long_steps_to_jobs_once_each(world_of, capsys, monkeypatch):
    world = world_of()
    world.decide(1500)
    watched(world, monkeypatch, 4)
    watched(world, monkeypatch, 4)
    with closing(SqliteJobs(world.folder)) as jobs:
        (job,) = jobs.list()
        assert (job.kind, job.key) == ("retrain", "retraining-1-train")
        assert job.arguments == (str(world.app), f"--data={world.folder}")
        world.step(capsys)  # As the job does it.
        watched(world, monkeypatch, 2)
        assert [one.key for one in jobs.list()] == ["retraining-1-judge", "retraining-1-train"]


def test_a_long_step_whose_job_was_lost_ends_the_round(world_of, capsys, monkeypatch):
    world = world_of()
    world.decide(1500)
    watched(world, monkeypatch, 2)
    with closing(SqliteJobs(world.folder)) as jobs:
        job = jobs.claim("runner", 1, {}, 1)
        jobs.move(job.ended(JobState.FAILED, 2, error="killed for its memory"))
    watched(world, monkeypatch, 2)
    ended = steps(world, capsys)["ended"]
    assert ended["value"] == "failed" and "killed for its memory" in ended["why"]


def test_a_server_leaves_the_job_that_looks_on_once(world_of, capsys):
    world = world_of()
    leave_retraining(str(world.app), world.folder)
    with closing(SqliteJobs(world.folder)) as jobs:
        job = jobs.move(jobs.claim("runner", 1, {}, 1).ended(JobState.FAILED, 2, error="x"))
        leave_retraining(str(world.app), world.folder)
        assert jobs.get(job.id).state is JobState.QUEUED
        jobs.move(jobs.get(job.id).asked_to_cancel("ann", 3))
        leave_retraining(str(world.app), world.folder)
        assert [one.state for one in jobs.list()] == [JobState.CANCELLED]  # Nobody starts what a person has ended.


def test_the_newest_events_and_outcomes_alone_are_kept(world_of, monkeypatch):
    world = world_of()
    for _ in range(10):
        world.decide(100)
        world.engine.learn([{"event_id": f"e{world.sent - 1}", "label": 1, "time": START_S + 600 * world.sent + 4000}])
    monkeypatch.setattr(retraining_traffic, "ROWS_MAX", 250)
    prepared = prepare(world.app)
    with place_in(world.folder) as place, closing(place.open_journal(prepared)) as journal:
        traffic = retraining_traffic.Traffic(prepared.keyed(journal.coding))
        traffic.catch_up(journal)
        assert traffic.position == journal.last
        assert traffic.counted().outcomes == 300  # Whole entries: at least as many rows as are kept, not all 1,000.


@pytest.mark.long
def test_a_training_by_itself_adds_a_version_once_for_each_reason_and_begins_no_round(world_of, capsys):
    world = world_of()
    assert "not enough data" in world.step(capsys, "--only-train", "--reason", "early", code=1)["err"]
    world.decide(1500)
    made = world.step(capsys, "--only-train", "--reason", "concept at outcome (plan-0)")
    assert made["source"] == "trained" and made["version"] != world.champion() == world.first
    again = world.step(capsys, "--only-train", "--reason", "concept at outcome (plan-0)")
    assert again["version"] == made["version"]
    with closing(SqliteRegistry(world.folder)) as registry:
        kept = [one for one in registry.versions(limit=9) if one.lineage.actor == "homeostat"]
    assert [one.version for one in kept] == [made["version"]] and len(world.changes()) == 1
    assert not world.call(capsys, "retrain", world.app, "--status")["rounds"]
    assert "needs a --reason" in world.step(capsys, "--only-train", code=1)["err"]
