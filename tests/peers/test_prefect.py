"""A job as a flow of Prefect's own server: one job for each flow run, its result, its failure and its cancellation.

The server wants an older FastAPI than homeostat has, so it runs in an environment of its own. The environment variable
PREFECT_PYTHON names its Python. `make test-peers` makes both.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.records.job import JobState

pytestmark = pytest.mark.peers

FLOW = """
import json, sys
from homeostat.jobs.prefect_flow import run_job
print("result", json.dumps(run_job(**json.loads(sys.argv[1]))))
"""


@pytest.fixture(scope="module")
def prefect(tmp_path_factory):
    """The environment of a Prefect server, which runs."""
    python = os.environ.get("PREFECT_PYTHON")
    if python is None:
        pytest.skip("PREFECT_PYTHON names no environment with a Prefect server")
    home = tmp_path_factory.mktemp("prefect")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    environment = {
        **os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW":
        "ignore", "PREFECT_CLI_PROMPT": "false",
    }  # fmt: skip
    command = [python, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with open(home / "server.log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: answers(environment["PREFECT_API_URL"] + "/health") or server.poll() is not None, 120)
        assert server.poll() is None, (home / "server.log").read_text()[-3000:]
        yield environment
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


@pytest.fixture
def data(tmp_path):
    """A folder whose jobs are run by a runner."""
    folder = tmp_path / "data"
    SqliteJobs(folder).close()
    with running(folder, tmp_path):
        yield folder


@contextmanager
def running(folder: Path, where: Path):
    command = [sys.executable, "-m", "homeostat", "jobs", "run", "--data", str(folder)]
    runner = subprocess.Popen(command, cwd=where, stderr=subprocess.DEVNULL)
    try:
        yield runner
    finally:
        runner.terminate()
        runner.wait()


def until(true, within_s=60.0):
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.1)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


def flow(prefect, **asked):
    return subprocess.Popen(
        [sys.executable, "-c", FLOW, json.dumps(asked)], env=prefect, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def ended(process):
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def states(prefect):
    request = urllib.request.Request(
        prefect["PREFECT_API_URL"] + "/flow_runs/filter", b"{}", {"content-type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return {run["id"]: run["state_type"] for run in json.load(reply)}


def simulation(folder, days=1, **more):
    arguments = ["access", "--days", str(days), "--customers", "5", "--out", "sim"]
    return {"kind": "simulate", "arguments": arguments, "data": str(folder), **more}


def test_a_flow_run_is_one_job_with_its_result(prefect, data):
    code, out, err = ended(flow(prefect, **simulation(data)))
    assert code == 0, err[-3000:]
    assert json.loads(out.partition("result ")[2])["days"] == 1
    with closing(SqliteJobs(data)) as jobs:
        (job,) = jobs.list()
    assert job.state is JobState.SUCCEEDED and job.actor == "prefect"
    assert states(prefect)[job.key.removeprefix("prefect-")] == "COMPLETED"


def test_the_same_key_in_two_flow_runs_is_one_job(prefect, data):
    results = [ended(flow(prefect, **simulation(data, key="night"))) for _ in range(2)]
    assert [code for code, _, _ in results] == [0, 0]
    with closing(SqliteJobs(data)) as jobs:
        (job,) = jobs.list()
    assert job.attempts == 1


def test_a_job_that_fails_fails_its_flow_run_and_says_why(prefect, data):
    asked = {"kind": "export", "arguments": ["--data", "nowhere", "--out", "x"], "data": str(data), "key": "k"}
    code, _, err = ended(flow(prefect, **asked))
    assert code != 0 and "JobFailed" in err and "nowhere has no journal.db" in err
    code, _, err = ended(flow(prefect, **asked))
    assert code != 0
    with closing(SqliteJobs(data)) as jobs:
        (job,) = jobs.list()
    assert job.state is JobState.FAILED and job.revision > 4  # It was begun once more.


def test_a_flow_run_that_is_stopped_cancels_its_job(prefect, tmp_path):
    folder = tmp_path / "data"
    SqliteJobs(folder).close()
    process = flow(prefect, **simulation(folder))
    with closing(SqliteJobs(folder)) as jobs:
        until(jobs.list)
        process.send_signal(signal.SIGINT)
        ended(process)
        (job,) = jobs.list()
    assert job.state is JobState.CANCELLED and job.cancel == "prefect"
