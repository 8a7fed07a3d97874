"""A real Prometheus writes to a server, whose decisions go to a real InfluxDB: each sample arrives, kills or not."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from http_servers import Server
from tests.support.job_programs import until
from tests.support.predicting_app import ask_influx
from tests.support.warm import start

from homeostat.checks.servers import machine, prometheus_server

APP = """homeostat: 1
app: watched
events:
  lateness: 5m
  entities: {instance: {}}
  fields: {goroutines: {type: number, required: false}}
features:
  windows: [{entity: instance, lengths: [1h], compute: {usual: mean(goroutines)}}]
scorers: {rules: {kind: rules, rules: [{name: many, when: goroutines > 0, score: 0.9}]}}
fusion: {kind: weighted}
actions: [ok, alert]
costs: {ok: {positive: 1, negative: 0}, alert: {positive: 0, negative: 1}}
guards: {fallback: {scorers_absent: ok}}
metrics: {step: 1s, lateness: 1s, entity: {instance: instance}, fields: {goroutines: go_goroutines.value}}
predictions: {store: {kind: influxdb, url: "%s", database: %s}}
"""
SCRAPED = """global: {scrape_interval: 1s}
scrape_configs: [{job_name: self, static_configs: [{targets: ["127.0.0.1:{port}"]}]}]
remote_write:
  - url: %s/api/v1/write
    queue_config: {batch_send_deadline: 1s, max_backoff: 1s}
    write_relabel_configs: [{source_labels: [__name__], regex: go_goroutines, action: keep}]
"""


def begun(app: Path, data: Path, port: int) -> Server:
    server = Server.__new__(Server)
    server._begin(start(["serve", str(app), "--data", str(data), "--port", str(port)]), None)
    return server


def scraped(url: str, now_s: float) -> set[int]:
    """The seconds of the samples that Prometheus has itself."""
    asked = urllib.parse.urlencode({"query": "go_goroutines[10m]", "time": now_s})
    with urllib.request.urlopen(f"{url}/api/v1/query?{asked}", timeout=60) as reply:
        found = json.load(reply)["data"]["result"]
    return {int(at) for series in found for at, _ in series["values"]}


@pytest.mark.long
def test_every_sample_that_prometheus_writes_is_decided(tmp_path: Path, own_server) -> None:
    app, data = tmp_path / "app.yaml", tmp_path / "data"
    app.write_text(APP.partition("predictions:")[0])
    server = begun(app, data, 0)
    store = own_server(prometheus_server, SCRAPED % server.url)

    def decided(second: int) -> bool:
        return server.ask(f"/v1/decisions/watched,instance=127.0.0.1:{store.port}@{second}000000000")[0] == 200

    try:
        until(lambda: len(scraped(store.url, time.time())) >= 4)
        seconds = sorted(scraped(store.url, time.time()))
        until(lambda: decided(seconds[-1]))
        assert all(map(decided, seconds))
    finally:
        store.kill()  # A graceful end would wait until the server takes the last samples.
        server.stop()


@pytest.mark.weekly
def test_every_sample_is_decided_and_its_prediction_stored_though_the_server_is_killed(
    tmp_path: Path, influx, own_server
) -> None:
    port = machine.free_port()
    ask_influx(influx.url, "watched", "CREATE DATABASE watched")
    app, data = tmp_path / "app.yaml", tmp_path / "data"
    app.write_text(APP % (influx.url, "watched"))
    server = begun(app, data, port)
    store = own_server(prometheus_server, SCRAPED % server.url)

    def stored() -> dict[int, str]:
        rows = ask_influx(influx.url, "watched", "SELECT score, instance FROM ai_predictions")
        return {at // 10**9: instance for at, _, instance in rows}

    try:
        until(lambda: len(stored()) >= 3)
        server.process.kill()
        server.end()
        server = begun(app, data, port)
        since = time.time()
        until(lambda: max(stored()) > since)
        known = stored()
        assert scraped(store.url, time.time()) & set(range(min(known), max(known) + 1)) == set(known)
        assert set(known.values()) == {f"127.0.0.1:{store.port}"}
    finally:
        store.kill()
        server.stop()
