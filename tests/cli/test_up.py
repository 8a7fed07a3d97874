"""`homeostat up`: the processes that it starts, watches and stops."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from itertools import count
from pathlib import Path

import confluent_kafka
import psutil
import psycopg
import pytest
from tests.engine.shared.learning_worlds import BANDIT
from tests.support.shadows import HERE as IN_SHADOW

from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.adapters.postgres.jobs import PostgresJobs
from homeostat.cli import main
from homeostat.config.starter import starter
from homeostat.records.job import Job

EVENT = {"entity_id": "7", "event_type": "action", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}
NUMBERS = count(1)


class Up:
    """`homeostat up` with these arguments; everything that it says is kept."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        watched = () if "--maintain" in arguments else ("--no-maintain",)
        command = [sys.executable, "-m", "homeostat", "up", *map(str, arguments), *watched]
        shared = os.pathsep.join([str(IN_SHADOW), *filter(None, [os.environ.get("PYTHONPATH")])])
        environ = {**os.environ, "PYTHONPATH": shared, **environment}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ)
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.said.append(line)

    def wait_for(self, words: str, times: int = 1, seconds: float = 120.0) -> str:
        """The line that says it for the n-th time, which must come."""
        deadline = time.monotonic() + seconds
        while True:
            found = [line for line in self.said if words in line]
            if len(found) >= times:
                return found[times - 1]
            assert self.process.poll() is None and time.monotonic() < deadline, "".join(self.said)
            time.sleep(0.02)

    def url(self) -> str:
        found = re.search(r"http://127.0.0.1:\d+", self.wait_for("  server "))
        assert found
        return found[0]

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> int:
        code = self.process.wait(timeout=240)
        self._reader.join()
        return code

    def __enter__(self) -> Up:
        return self

    def __exit__(self, *raised: object) -> None:
        if self.process.poll() is None:
            children = self.children()
            self.process.kill()
            for child in children:
                child.kill()
            self.process.wait()


def decide(url: str, event: dict[str, object]) -> dict[str, object]:
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/decide", json.dumps(event).encode(), headers)
    with urllib.request.urlopen(request, timeout=240) as response:
        return json.loads(response.read())


@pytest.fixture
def config(kafka, redis, postgres, tmp_path):
    """An app file that says where it runs."""
    name = f"up_{next(NUMBERS)}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    address = f"{kafka.url}/{name}-{tmp_path.name}"
    app = tmp_path / "app.yaml"
    app.write_text(
        starter()
        + f"""
servers:
  events: {address}.events
  decisions: {address}.decisions
  features: {redis.url}
  journal: {postgres.url.rsplit("/", 1)[0]}/{name}
  partitions: 2
  spool: {tmp_path / "spool"}
"""
    )
    yield app
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_workers_and_a_server_of_an_app_file_are_kept_running_and_drained(config: Path, kafka, capsys) -> None:
    from homeostat.config.servers import read_servers

    servers = read_servers(config, {})
    with Up(config, "--port", "0") as up:
        url = up.url()
        assert "worker 1" in up.wait_for("decides the events of")
        event = {**EVENT, "event_id": "http"}
        assert decide(url, example(config, event))["event_id"] == "http"
        with pytest.raises(SystemExit):
            main(["explain", "http", "--config", str(config), "--app", str(config)])
        assert capsys.readouterr().out.startswith("http: ")
        worker = next(child for child in up.children() if "worker" in child.cmdline())
        worker.kill()
        up.wait_for("worker 1 ended with -9; it is started again in 0.5 s")
        up.wait_for("decides the events of", times=3)  # Its own line, the table's, and its own once more.
        producer = confluent_kafka.Producer({"bootstrap.servers": kafka.address})
        producer.produce(topic(servers.events), json.dumps(example(config, {**event, "event_id": "stream"})).encode())
        producer.flush(20)
        assert consumed(kafka, topic(servers.decisions))["event_id"] == "stream"
        children = up.children()
        up.process.send_signal(signal.SIGTERM)
        assert up.end() == 0 and up.said[-1] == "homeostat: stopped\n"
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        assert any(line.startswith("worker 1 | ") and "drained" in line for line in up.said)


def test_children_of_a_parent_that_was_killed_end(config: Path) -> None:
    with Up(config, "--port", "0", "--servers", "0") as up:
        up.wait_for("is up")
        children = up.children()
        assert len(children) == 1
        up.process.kill()
        psutil.wait_procs(children, timeout=240)
        assert not any(child.is_running() for child in children)


@pytest.mark.long
def test_without_a_world_it_serves_from_a_folder(tmp_path: Path) -> None:
    with Up("access", "--port", "0", "--data", tmp_path / "data") as up:
        found = re.search(r"http://127.0.0.1:\d+", up.wait_for("access decides at"))
        assert found
        assert decide(found[0], {**EVENT, "event_id": "1"})["event_id"] == "1"
        up.process.send_signal(signal.SIGINT)
        assert up.end() == 0 and (tmp_path / "data" / "journal.db").is_file()


@pytest.mark.long
def test_without_a_world_the_decisions_are_watched_beside(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Up("access", "--port", "0", "--data", data, "--maintain") as up, closing(SqliteIncidents(data)) as store:
        found = re.search(r"http://127.0.0.1:\d+", up.wait_for("access decides at"))
        assert found
        decide(found[0], {**EVENT, "event_id": "1"})
        deadline = time.monotonic() + 120
        while not (lease := store.lease()) or lease.state.entry < 1:
            assert up.process.poll() is None and time.monotonic() < deadline, "".join(up.said)
            time.sleep(0.05)
        (child,) = up.children()
        up.process.send_signal(signal.SIGINT)
        assert up.end() == 0 and not child.is_running()


@pytest.mark.long
def test_jobs_run_beside_on_the_apps_own_postgresql(postgres, tmp_path: Path) -> None:
    app = tmp_path / "app.yaml"
    app.write_text(starter() + f"servers: {{journal: '{postgres.url}'}}\n")
    with closing(PostgresJobs(postgres.url)) as jobs, Up(app, "--workers", "0", "--servers", "0", "--jobs", "1") as up:
        up.wait_for("is up")
        job = jobs.submit(Job("export", ("--out=x",), folder=str(tmp_path)))
        up.wait_for(f"job {job.id} (export): failed")
        assert "which journal" in jobs.get(job.id).error
        (child,) = up.children()
        up.process.send_signal(signal.SIGINT)
        assert up.end() == 0 and not child.is_running()


@pytest.mark.long
def test_a_learner_runs_beside_where_the_app_learns(postgres, tmp_path: Path) -> None:
    name = f"up_learns_{os.getpid()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        app = tmp_path / "app.yaml"
        app.write_text(BANDIT + f"servers: {{journal: '{postgres.url.rsplit('/', 1)[0]}/{name}'}}\n")
        with Up(app, "--workers", "0", "--maintain") as up:
            up.wait_for("leads the learning, from entry 0 of the journal on")
            up.wait_for("  learner   learns from the journal")
            up.wait_for("  maintain  watches the journal")
            up.wait_for("from entry 0 on")
            children = up.children()
            assert len(children) == 2
            up.process.send_signal(signal.SIGINT)
            assert up.end() == 0 and not any(child.is_running() for child in children)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_what_can_not_be_started_is_said(capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "servers.yaml"
    config.write_text("servers: {journal: postgresql://a:hunter2@127.0.0.1:9/b}")
    for arguments, hint in (
        (("nosuch",), "nosuch"), (("access", "--config", "none.yaml"), "none.yaml"),
        (("access", "--config", str(config), "--workers", "-1"), "0 or more"),
        (("access", "--config", str(config)), "nothing to start"),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            main(["up", *arguments])
        said = capsys.readouterr().err
        assert stop.value.code == 1 and hint in said and "hunter2" not in said


@pytest.mark.long
def test_a_child_that_can_not_start_ends_the_whole(tmp_path: Path) -> None:
    config = tmp_path / "servers.yaml"
    config.write_text("servers: {features: 'redis://127.0.0.1:9/0', journal: 'postgresql://127.0.0.1:9/b'}")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with Up("access", "--config", config, "--port", taken.getsockname()[1]) as up:
            assert up.end() == 1
            assert any(line.startswith("server   | homeostat: can't listen") for line in up.said)
            assert any("server ended with 1 before it was ready" in line for line in up.said)


def topic(address: str | None) -> str:
    return (address or "").rpartition("/")[2]


def example(app: Path, event: dict[str, object]) -> dict[str, object]:
    """The event with what the app's file asks for."""
    from homeostat.config.load import load_app

    tree = load_app(app)
    sent: dict[str, object] = {"event_id": event["event_id"], tree.events.time.name or "time": event["timestamp"]}
    sent |= {name: "7" for name, entity in tree.events.entities.items() if entity.of is None}
    kinds = {"number": 1, "integer": 1, "boolean": True, "category": "a"}
    for name, field in tree.events.fields.items():
        sent[name] = field.values[0] if field.values else kinds[field.type]
    return sent


def consumed(kafka, name: str) -> dict[str, object]:
    """The first decision there."""
    settings = {"bootstrap.servers": kafka.address, "group.id": f"reader-{name}", "auto.offset.reset": "earliest"}
    consumer = confluent_kafka.Consumer(settings)
    try:
        consumer.subscribe([name])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                return json.loads(message.value())
        raise AssertionError("no decision came")
    finally:
        consumer.close()
