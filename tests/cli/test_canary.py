"""`homeostat models canary` and `homeostat models ramp`, on the folder of an engine that decides."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from threading import Thread

import pytest
from tests.jobs.test_canary_keeping import APP, World, bundles  # noqa: F401
from tests.support.job_programs import until

from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.cli import main


@pytest.fixture
def world(tmp_path, bundles):  # noqa: F811
    (tmp_path / "app.yaml").write_text(APP)
    (tmp_path / "data").mkdir()
    made = World(tmp_path / "data", bundles)
    yield made
    made.engine.close()


def run(capsys, *words):
    """Exit code, the JSON printed, and standard error."""
    code = 0
    try:
        main([str(word) for word in words])
    except SystemExit as stop:
        code = stop.code or 0
    out, err = capsys.readouterr()
    return code, json.loads(out) if out.startswith("{") else out, err


def on(world, *words):
    app = world.folder.parent / "app.yaml"
    return ["models", *words, "--app", app, "--data", world.folder]


@pytest.mark.long
def test_a_canary_is_started_shown_kept_and_ended(world, capsys):
    code, started, _ = run(capsys, *on(world, "canary", world.versions["like"], "--reason", "try", "--json"))
    assert (code, started["role"], started["change"]) == (0, "canary", 1)
    with closing(SqliteJobs(world.folder)) as jobs:
        (job,) = jobs.list()
        assert (job.kind, job.key) == ("canary", "canary-1")
    world.decide(300)
    code, shown, _ = run(capsys, *on(world, "canary", "--status", "--json"))
    assert (code, shown["share"], shown["state"], shown["verdict"]) == (0, 0.2, "stay", shown["verdict"])
    assert 30 < shown["events"] < 90 and len(shown["evidence"]) == 3
    code, text, _ = run(capsys, *on(world, "canary", "--status"))
    assert "20.00% of the entities" in text and "action block" in text
    world.decide(2000)
    code, kept, _ = run(capsys, *on(world, "ramp", "--once", "--json"))
    assert (code, kept["state"]) == (0, "raise")
    world.decide(10)
    assert world.engine.parts.loop.stages.settings == 2
    code, _, err = run(capsys, *on(world, "canary", world.versions["blocks"], "--yes"))
    assert code == 1 and "canary already" in err
    code, stopped, _ = run(capsys, "models", "canary", "--stop", "--data", world.folder, "--json")
    assert (code, stopped["version"]) == (0, world.versions["like"])
    code, shown, _ = run(capsys, *on(world, "canary", "--status", "--json"))
    assert shown["version"] is None and "asked for at the command line" in shown["why"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "which version"),
        (["1", "--steps", "1"], "share below 1"),
        (["1", "--steps", ".5,.1"], "rising shares"),
        (["1", "--steps", "much"], "rising shares"),
        (["nothing"], "nothing"),
        (["--stop"], "no version is a canary"),
    ],
)
def test_a_mistake_is_refused_in_a_sentence(world, capsys, words, why):
    code, _, err = run(capsys, *on(world, "canary", *words, "--yes"))
    assert code == 1 and why in err


@pytest.mark.long
def test_an_app_that_asks_for_evidence_refuses_a_canary_without_it(world, capsys):
    asking = APP.replace("  {steps:", "  {evidence: replay, steps:")
    (world.folder.parent / "app.yaml").write_text(asking)
    world.decide(50)
    code, _, err = run(capsys, *on(world, "canary", world.versions["like"], "--yes"))
    assert code == 1 and "asks for a PASS in replay first" in err
    assert world.engine.settings.last == 0


@pytest.mark.long
def test_the_job_that_keeps_it_goes_on_after_kill_9(world, capsys):
    run(capsys, *on(world, "canary", world.versions["like"], "--json"))
    world.decide(300)
    command = [sys.executable, "-m", "homeostat", "jobs", "run", "--data", str(world.folder)]
    runner = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        pids = []
        while len(pids) < 2:
            line = runner.stderr.readline()
            assert line, "the runner has ended"
            if "begins, in process" in line:
                pids.append(int(line.rsplit(" ", 1)[1]))
                if len(pids) == 1:
                    os.kill(pids[0], signal.SIGKILL)
        lines = []
        reader = Thread(target=lambda: lines.extend(runner.stderr), daemon=True)
        reader.start()
        for number in (2, 4):  # The raise; the promotion and the end of the role.
            world.decide(3000)
            until(lambda number=number: world.engine.settings.last >= number)
        until(lambda: any("succeeded" in line for line in lines))
    finally:
        runner.terminate()
        runner.wait(240)
        reader.join(60)
        runner.stderr.close()
    reasons = [change.reason for change in world.engine.settings.since(0)]
    assert reasons[1].startswith("its share is 0.5") and reasons[2].startswith("the canary has earned")
    assert len(reasons) == 4
    with closing(SqliteJobs(world.folder)) as jobs:
        (job,) = jobs.list()
        assert job.attempts == 2 and job.result["version"] is None
