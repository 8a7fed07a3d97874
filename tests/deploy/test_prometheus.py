"""Prometheus: its files by its own tools, and a real one that scrapes a real server."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import queries
import yaml

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.

EVENT = {"entity_id": "7", "event_type": "action", "value": 1, "timestamp": "2026-01-30T12:00:00Z"}


@pytest.fixture(scope="module")
def rules(deploy: Path) -> list[dict[str, Any]]:
    document = yaml.safe_load((deploy / "prometheus" / "alerts.yml").read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


CHECKS = (
    "check config prometheus.yml", "check rules alerts.yml", "test rules alerts_test.yml alerts_of_days_test.yml",
)  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
def test_promtool_finds_nothing_wrong(deploy: Path, promtool: str, check: str) -> None:
    done = subprocess.run(
        [promtool, *check.split()], cwd=deploy / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_of_series_that_are_exported(rules: list[dict[str, Any]], exported: dict[str, set[str]]) -> None:
    for rule in rules:
        assert not queries.unknown(rule["expr"], exported), rule["alert"]


def test_every_alert_says_how_bad_what_and_what_to_do(deploy: Path, rules: list[dict[str, Any]]) -> None:
    guide = (deploy.parent / "docs" / "operations.md").read_text("utf-8")
    anchors = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
               for title in re.findall(r"^#+ (.*)$", guide, re.MULTILINE)}  # fmt: skip
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning") and rule["annotations"]["summary"]
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert page == "docs/operations.md" and anchor in anchors, rule["alert"]
        kept = queries.grouped(rule["expr"])
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert label in kept or not kept, f"{rule['alert']} names {label}, which its series does not keep"


def test_every_runbook_has_its_alert(deploy: Path, rules: list[dict[str, Any]]) -> None:
    guide = (deploy.parent / "docs" / "operations.md").read_text("utf-8")
    assert sorted(re.findall(r"^### (Homeostat\w+)$", guide, re.MULTILINE)) == sorted(rule["alert"] for rule in rules)


def test_every_alert_is_tried(deploy: Path, rules: list[dict[str, Any]]) -> None:
    files = (deploy / "prometheus").glob("alerts*_test.yml")
    tests = [test for file in files for test in yaml.safe_load(file.read_text("utf-8"))["tests"]]
    expected = [test for each in tests for test in each["alert_rule_test"]]
    for fires in (True, False):
        tried = {test["alertname"] for test in expected if bool(test["exp_alerts"]) is fires}
        assert tried == {rule["alert"] for rule in rules}


def test_what_is_scraped_is_what_compose_runs(deploy: Path) -> None:
    jobs = yaml.safe_load((deploy / "prometheus" / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    services = yaml.safe_load((deploy / "compose.yaml").read_text("utf-8"))["services"]
    for job in jobs:
        for found in job.get("dns_sd_configs", ()):
            (name,) = found["names"]
            words = " ".join(services[name]["command"]).replace("=", " ")
            assert f"--metrics-port {found['port']}" in words and "--metrics-host 0.0.0.0" in words


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def ask(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=240) as answer:
        return json.load(answer)


def until(what, wait_s: float = 60.0) -> Any:
    """The result of `what` as soon as that is something; a server that is not up yet is nothing."""
    end = time.monotonic() + wait_s
    while True:
        try:
            if found := what():
                return found
        except OSError:
            pass
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server of homeostat that has decided something."""
    command = [sys.executable, "-c", "from homeostat.cli import main; main()", "serve", "access", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    url = next(line.split()[-1] for line in process.stderr if "http://" in line)
    ask(f"{url}/v1/decide", [{**EVENT, "event_id": f"e{k}"} for k in range(50)] + [5])
    yield url
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=240)


@pytest.fixture
def watching(deploy: Path, prometheus: str, server: str, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus with our rules, which scrapes that server."""
    config = yaml.safe_load((deploy / "prometheus" / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
    config["rule_files"] = [str(deploy / "prometheus" / "alerts.yml")]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    jobs.pop("prometheus")
    for name, job in jobs.items():
        job.pop("dns_sd_configs")
        host = server.removeprefix("http://") if name == "homeostat-server" else "127.0.0.1:1"
        job["static_configs"] = [{"targets": [host]}]
    config["scrape_configs"] = list(jobs.values())
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    port = free_port()
    process = subprocess.Popen(
        [prometheus, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
         f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"], stderr=subprocess.PIPE,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}/api/v1"
    until(lambda: ask(f"{url}/status/runtimeinfo")["status"] == "success")
    yield url
    process.terminate()
    process.communicate(timeout=240)


def test_a_real_prometheus_scrapes_a_real_server(watching: str, rules: list[dict[str, Any]], deploy: Path) -> None:
    def query(expression: str) -> list[dict[str, Any]]:
        answer = ask(f"{watching}/query?{urllib.parse.urlencode({'query': expression})}")
        assert answer["status"] == "success"
        return answer["data"]["result"]

    (found,) = until(lambda: query('homeostat_events_total{kind="events"}'))
    assert found["metric"]["app"] == "access" and found["metric"]["job"] == "homeostat-server"
    assert found["value"][1] == "50"
    assert query('homeostat_bad_events_total{reason="malformed"}')[0]["value"][1] == "1"
    loaded = [rule for group in ask(f"{watching}/rules")["data"]["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in loaded} == {rule["alert"] for rule in rules}
    until(lambda: all(rule["health"] == "ok" for group in ask(f"{watching}/rules")["data"]["groups"]
                      for rule in group["rules"]))  # fmt: skip
    away = ["homeostat-maintain", "homeostat-worker"]
    until(lambda: sorted(one["metric"]["job"] for one in query('ALERTS{alertname="HomeostatDown"}')) == away)
    for down in query('ALERTS{alertname="HomeostatDown"}'):
        assert (down["metric"]["alertstate"], down["metric"]["instance"]) == ("pending", "127.0.0.1:1")
    for path in (deploy / "grafana" / "dashboards").iterdir():  # Every panel asks what this Prometheus understands.
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            for target in panel["targets"]:
                query(queries.filled(target["expr"]))
