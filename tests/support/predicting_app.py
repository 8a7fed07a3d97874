"""A small app of hosts whose decisions go out as predictions."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from contextlib import closing
from pathlib import Path

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.process.clock import SystemClock
from homeostat.engine.assembly import open_engine, prepare
from homeostat.jobs.predicting.following import Source
from homeostat.jobs.predicting.making import Models

APP = """
homeostat: 1
app: hosts
events:
  entities: {host: {}}
  fields: {cpu: {type: number, required: false}}
features:
  windows: [{entity: host, lengths: [5m], compute: {n: count, cpu_mean: mean(cpu)}}]
scorers:
  busy:
    kind: rules
    rules: [{name: busy, when: cpu > 90, score: 0.9}, {name: calm, when: cpu >= 0, score: 0.05}]
fusion: {kind: weighted}
actions: [normal, alert]
costs: {normal: {positive: 10, negative: 0}, alert: {positive: 0, negative: 1}}
guards: {fallback: {scorers_absent: normal}}
"""
START_S = 1_767_571_200


def app_file(folder: Path, predictions: str) -> Path:
    """The app's file, with a section `predictions` in flow style."""
    path = folder / "hosts.yaml"
    path.write_text(APP + f"predictions: {predictions}\n")
    return path


def events(numbers: range, start_s: int = START_S) -> list[dict[str, object]]:
    """One event for each number, of three hosts in turn, ten seconds apart; each tenth is flagged."""
    return [
        {"event_id": f"e{k}", "time": start_s + 10 * k, "host": f"h{k % 3}", "cpu": 99.0 if k % 10 == 9 else 20.0}
        for k in numbers
    ]  # fmt: skip


def decide(app: Path, data: Path, *batches: range, start_s: int = START_S) -> None:
    """Decide events in a data folder, an entry of the journal for each batch."""
    with open_engine(app, data=data, audit=False) as engine:
        for numbers in batches:
            engine.decide(events(numbers, start_s))


def source_of(app: Path, data: Path, opened, clock=None) -> Source:
    """The source of an app's predictions."""
    prepared = prepare(app)
    journal = opened.enter_context(
        closing(SqliteJournal(data / "journal.db", app=prepared.app.app, words=prepared.words, readonly=True))
    )
    models = Models(prepared, journal, lambda: None)
    opened.callback(models.close)
    return Source(prepared.app, journal, models, data, clock or SystemClock(), "tester")


def ask_influx(url: str, database: str, query: str) -> list[list[object]]:
    """The rows of a query's first series."""
    asked = urllib.parse.urlencode({"db": database, "q": query, "epoch": "ns"})
    with urllib.request.urlopen(f"{url}/query?{asked}", b"", timeout=60) as reply:
        found = json.load(reply)["results"][0]
    return found["series"][0]["values"] if "series" in found else []
