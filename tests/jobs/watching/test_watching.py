"""`homeostat watch`: a fault is found, explained and resolved; quiet samples raise nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from homeostat.adapters.machine.page import PageSampler
from homeostat.adapters.process.pause import pause
from homeostat.cli import main
from homeostat.cli.watch_view import screen
from homeostat.jobs.watching.watching import Watching, watched


class Scripted:
    """A machine whose processor is busy in some steps."""

    name, metrics = "scripted", ("cpu", "memory", "network")

    def __init__(self, busy: range, seed: int = 1) -> None:
        self.busy, self.step, self.rng = busy, 0, np.random.default_rng(seed)

    def sample(self) -> dict[str, float]:
        self.step += 1
        cpu = 8 + self.rng.exponential(3) + 80 * (self.step in self.busy)
        return {"cpu": min(cpu, 100.0), "memory": 50 + self.rng.normal(0, 0.3), "network": self.rng.exponential(0.1)}

    def culprit(self, metric: str) -> str | None:
        return "miner (7)" if metric == "cpu" else None


def test_a_busy_processor_is_found_in_its_first_steps_explained_and_resolved() -> None:
    sampler = Scripted(range(200, 260))
    watching = Watching(sampler.culprit)
    events = [one for one in watched(sampler, watching, lambda: None, 400) if one is not None]
    assert len(events) == 2 and events[0] is events[1]
    (episode,) = watching.episodes
    assert 200 <= episode.step <= 203 and 260 <= episode.resolved <= 280
    assert episode.metric == "cpu" and episode.value > episode.high > 11 and episode.culprit == "miner (7)"
    assert episode.as_json()["event"] == "resolved"


@pytest.mark.parametrize("seed", range(3))
def test_ten_minutes_of_a_quiet_machine_raises_no_alert(seed: int) -> None:
    sampler = Scripted(range(0), seed)
    watching = Watching()
    assert [one for one in watched(sampler, watching, lambda: None, 600) if one is not None] == []
    assert not watching.learning and watching.step == 600


def test_the_first_samples_only_teach() -> None:
    sampler, watching = Scripted(range(20, 30)), Watching()
    assert not any(watched(sampler, watching, lambda: None, 40))
    assert watching.learning


@pytest.mark.parametrize("width", [80, 120])
def test_the_view_fits_its_terminal(width: int) -> None:
    sampler = Scripted(range(112, 200))
    watching = Watching(sampler.culprit)
    for _ in watched(sampler, watching, lambda: None, 120):
        pass
    console = Console(width=width, file=StringIO(), record=True)
    console.print(screen("a machine", watching, width))
    text = console.export_text()
    lines = text.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= width
    assert "ALERT" in text and all(name in text for name in sampler.metrics)
    assert "swap" not in text, "what a sampler lacks is not shown"


@pytest.mark.long
def test_a_fault_by_stress_on_the_live_service_is_found_explained_and_resolved() -> None:
    service = subprocess.Popen(
        [sys.executable, "-m", "homeostat", "live", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        url = service.stdout.readline().decode().strip()
        sampler, watching = PageSampler(url), Watching()
        for _ in watched(sampler, watching, lambda: pause(0.03), 60):
            pass
        before = len(watching.episodes)
        load = json.dumps({"kind": "latency", "amount": 80, "seconds": 2}).encode()
        stress = urllib.request.Request(url.replace("/metrics", "/stress"), load, {"content-type": "application/json"})
        assert urllib.request.urlopen(stress, timeout=10).status == 202
        for _ in watched(sampler, watching, lambda: pause(0.03), 1000):
            if len(watching.episodes) > before and watching.episodes[-1].resolved:
                break
        episode = watching.episodes[-1]
        assert len(watching.episodes) > before and episode.resolved > episode.step
        assert "latency" in episode.out and episode.value > episode.high
    finally:
        service.kill()
        service.wait()
        service.stdout.close()


@pytest.mark.long
def test_the_command_watches_this_machine(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["watch", "--every", "0.01", "--steps", "5"])
    assert not ended.value.code
    assert "5 samples of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--every", "0"], "--every is from"),
        (["--steps", "0"], "--steps at least 1"),
        (["--source", "x"], "no address"),
    ],
)
def test_what_cannot_be_watched_is_said_in_a_sentence(capsys, arguments, said) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["watch", *arguments])
    assert ended.value.code == 1
    assert said in capsys.readouterr().err
