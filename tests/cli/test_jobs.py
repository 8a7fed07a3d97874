"""`homeostat jobs`: what each part prints, and that kinds and commands agree."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.job_programs import lives, until

from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.cli import build, main
from homeostat.cli.jobs import place_words
from homeostat.config.job_kinds import KINDS, BadJob, Takes, checked, command_of
from homeostat.records.job import JobState

# Options that would change only how a person is shown the result, or who may read it.
NOT_FOR_JOBS = {"--json", "--full", "--open-files", "--status", "--approve", "--stop"}
SENDS = {"--to", "--rate", "--seconds", "--header", "--remote"}  # Of simulate: a job sends nothing to a server.


def call(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    """The output of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert (ended.value.code or 0) == code
    return capsys.readouterr().out


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


SIMULATE = ("simulate", "--", "access", "--days", "2", "--customers", "9", "--out", "sim")


def submitted(capsys, data: Path, *options: object) -> dict:
    kind, *rest = SIMULATE
    return json.loads(call(capsys, "jobs", "submit", kind, "--data", data, *options, "--json", *rest))


def test_a_folder_to_which_no_job_was_submitted_has_none(capsys, data: Path) -> None:
    data.mkdir()
    assert json.loads(call(capsys, "jobs", "list", "--data", data, "--json")) == {"jobs": [], "next": None}
    assert not list(data.iterdir())
    with pytest.raises(SystemExit) as ended:
        main(["jobs", "list", "--data", str(data / "none")])
    assert ended.value.code == 1 and "no job was ever submitted there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", 10**30), ("cancel", 10**30), ("retry", -(10**30)), ("list", "--limit", 10**30),
        ("list", "--below", 10**30), ("logs", 1, "--offset", 10**30), ("logs", 1, "--offset", -(10**30)),
    ],
)  # fmt: skip
def test_a_number_that_no_store_holds_is_refused_in_a_sentence(capsys, data: Path, arguments: tuple) -> None:
    submitted(capsys, data)
    with pytest.raises(SystemExit) as ended:
        main(["jobs", *(str(argument) for argument in arguments), "--data", str(data)])
    assert ended.value.code == 2 and "Invalid value" in capsys.readouterr().err


def test_a_key_that_is_no_text_is_refused(capsys, data: Path) -> None:
    call(capsys, "jobs", "submit", "export", "--data", data, "--key", "\udcff", "--", "--out=x", code=1)


def test_a_submitted_job_is_listed_shown_cancelled_and_retried(capsys, data: Path) -> None:
    job = submitted(capsys, data)
    assert job["state"] == "queued" and job["folder"] == os.getcwd() and job["actor"]
    assert job["arguments"] == ["access", "--days=2", "--customers=9", "--out=sim"] and job["created"].endswith("Z")
    second = submitted(capsys, data)
    listed = json.loads(call(capsys, "jobs", "list", "--data", data, "--limit", 1, "--json"))
    assert [one["id"] for one in listed["jobs"]] == [second["id"]] and listed["next"] == second["id"]
    rest = json.loads(call(capsys, "jobs", "list", "--data", data, "--below", listed["next"], "--json"))
    assert [one["id"] for one in rest["jobs"]] == [job["id"]] and rest["next"] is None
    assert "queued" in call(capsys, "jobs", "list", "--data", data)
    cancelled = json.loads(call(capsys, "jobs", "cancel", job["id"], "--data", data, "--wait", "--json"))
    assert cancelled["state"] == "cancelled" and cancelled["cancel"] == cancelled["actor"]
    assert "cancelled" in call(capsys, "jobs", "show", job["id"], "--data", data)
    assert "queued" in call(capsys, "jobs", "retry", job["id"], "--data", data)
    assert (
        call(capsys, "jobs", "list", "--data", data, "--state", "cancelled", "--json") == '{"jobs": [], "next": null}\n'
    )


def test_the_same_key_is_the_same_job(capsys, data: Path) -> None:
    first, again = submitted(capsys, data, "--key", "nightly"), submitted(capsys, data, "--key", "nightly")
    assert first == again
    call(capsys, "jobs", "submit", "export", "--data", data, "--key", "nightly", "--", "--out", "x", code=1)


def test_what_can_not_be_is_refused_in_a_sentence(capsys, data: Path) -> None:
    for arguments in (
        ["submit", "shell", "--data", data, "--", "rm", "-rf"], ["submit", "train", "--data", data],
        ["show", 7, "--data", data], ["retry", 7, "--data", data], ["list"], ["logs", 7, "--data", data],
        ["list", "--data", data, "--config", "x.yaml"], ["list", "--data", data, "--limit", 0],
        ["run", "--data", data, "--at-once", 0],
    ):  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(["jobs", *map(str, arguments)])
        said = capsys.readouterr()
        assert ended.value.code == 1 and said.out == "" and said.err.startswith("homeostat: "), arguments
        assert "Traceback" not in said.err


def test_a_log_is_printed_and_followed_to_its_end(capsys, data: Path) -> None:
    submitted(capsys, data)
    store = SqliteJobs(data)
    run = store.claim("me", 1, {}, 1)
    assert run is not None and store.write(run, "reading\nlät\x1b[2J".encode())
    store.move(run.ended(JobState.FAILED, 2, error="late"))
    store.close()
    assert call(capsys, "jobs", "logs", 1, "-f", "--data", data) == "reading\nlät\\x1b[2J\n"
    shown = json.loads(call(capsys, "jobs", "logs", 1, "--data", data, "--offset", 8, "--json"))
    assert shown == {"id": 1, "state": "failed", "end": 16, "text": "lät\x1b[2J\n"}


@pytest.mark.long
def test_a_job_runs_to_its_result_and_its_runner_ends_with_once(capsys, data: Path) -> None:
    job = submitted(capsys, data)
    call(capsys, "jobs", "submit", "train", "--data", data, "--", "access", "nothing.csv", "--until", "2026-03-01",
         "--out", "bundle")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "homeostat", "jobs", "run", "--data", str(data), "--once"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "job 1 (simulate): succeeded" in done.stderr
    ended, failed = (json.loads(call(capsys, "jobs", "show", id, "--data", data, "--json")) for id in (job["id"], 2))
    assert ended["state"] == "succeeded" and ended["result"]["days"] == 2 and Path("sim/events.parquet").is_file()
    assert failed["state"] == "failed" and "nothing.csv" in failed["error"] and failed["attempts"] == 1


@pytest.mark.long
def test_a_runner_that_is_killed_takes_its_jobs_process_with_it(capsys, data: Path) -> None:
    submitted(capsys, data)
    command = [sys.executable, "-m", "homeostat", "jobs", "run", "--data", str(data)]
    runner = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert runner.stderr is not None
    line = ""
    while "begins, in process" not in line:
        line = runner.stderr.readline()
    pid = int(line.rsplit(" ", 1)[1])
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    runner.stderr.close()
    until(lambda: not lives(pid))


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_takes_what_its_command_takes(name: str) -> None:
    kind, app = KINDS[name], build()
    for word in kind.command:
        app = app[word]
    given, options, needed = {}, set(), set()
    for argument in app.assemble_argument_collection():
        if argument.name == "*":  # A group of options, which follow by name.
            continue
        if not argument.name.startswith("--"):
            given[argument.name] = argument.required
        else:
            options.add(argument.name)
            needed |= {argument.name} if argument.required else set()
    assert set(kind.options) == options - NOT_FOR_JOBS - (SENDS if name == "simulate" else set())
    assert needed <= set(kind.needed) <= set(kind.options)
    assert {place.rstrip("?"): not place.endswith("?") for place in kind.given} == given


def test_arguments_are_checked_and_all_faults_are_named() -> None:
    with pytest.raises(BadJob) as raised:
        checked("train", ["access", "e.csv", "more", "-x", "--until=soon", "--processes", "two", "--out", "--ray"])
    for fault in ("'more' is one too many", "'-x' is no argument", "'soon' is not an ISO", "'two' is no whole number",
                  "--out needs a value", "--ray needs a value"):  # fmt: skip
        assert fault in str(raised.value)
    for arguments in (["a"] * 101, ["x" * 1001], ["\n"], [""]):
        with pytest.raises(BadJob):
            checked("train", arguments)
    with pytest.raises(BadJob, match="given twice"):
        checked("export", ["--out=a", "--out=b"])
    with pytest.raises(BadJob, match=r"no kind of job 'trian' \(train\?\)"):
        checked("trian", [])


def test_a_value_can_not_pass_for_an_option() -> None:
    stored = checked("replay", ["access", "e.csv", "--out=--force", "--force", "--json"])
    assert stored == ("access", "e.csv", "--out=--force", "--force") and checked("replay", stored) == stored
    assert command_of("rehearse", ["r.yaml", "--app", "access"]) == [
        "guards",
        "test",
        "r.yaml",
        "--app=access",
        "--json",
    ]
    assert Takes.FLAG in KINDS["replay"].options.values()


def test_a_job_names_its_stores_wherever_it_runs_and_none_where_the_environment_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place_words("payments", Path("data"), None) == (["payments"], [f"--data={tmp_path / 'data'}"])
    assert place_words("a/pay.yaml", None, Path("servers.yaml")) == (
        [str(tmp_path / "a" / "pay.yaml")], [f"--config={tmp_path / 'servers.yaml'}"]
    )  # fmt: skip
    assert place_words(None, None, None) == ([], [])
