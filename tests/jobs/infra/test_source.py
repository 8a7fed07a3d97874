"""The simulated source of `homeostat up infra`: lines as Telegraf writes them, decided by the shipped app."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from homeostat.adapters.influx.posting import post_lines
from homeostat.adapters.process.pause import pause
from homeostat.cli import main
from homeostat.config.load import load_app
from homeostat.jobs.infra.source import Pace, Source
from homeostat.ports import Unavailable
from homeostat.sim.infra.world import DAY_S

NOW = 1_790_000_000 * 10**9


class Clock:
    """Moves as far as it is waited for."""

    def __init__(self) -> None:
        self.ns, self.waits = NOW, 0

    def now_ns(self) -> int:
        return self.ns

    def wait(self, seconds: float) -> bool:
        self.ns += round(seconds * 1e9)
        self.waits += 1
        return self.waits > 150


@pytest.fixture(scope="module")
def written() -> list[bytes]:
    posted: list[bytes] = []
    clock = Clock()
    source = Source(Pace(history_days=2, days=1), 3, posted.append, clock.now_ns, clock.wait)
    source.run()
    assert source.written == sum(part.count(b"service,host") for part in posted)
    return posted


def test_half_of_the_history_comes_at_once_and_then_a_step_at_a_time(written: list[bytes]) -> None:
    steps = [sorted({int(line.rpartition(b" ")[2]) for line in part.splitlines()}) for part in written]
    assert [len(one) for one in steps[:72]] == [20] * 72 and {len(one) for one in steps[72:]} == {1}
    times = [time for one in steps for time in one]
    assert times == sorted(set(times)) and 0 <= times[0] - (NOW - 2 * DAY_S * 10**9) + 60 * 10**9 <= 60 * 10**9
    assert max(times) < NOW, "nothing comes from ahead of the clock"


def test_every_line_is_one_that_the_shipped_app_uses(written: list[bytes]) -> None:
    used = load_app("infra").metrics
    fields = {(one.measurement, one.field, tuple(one.tags.items())) for one in used.fields.values()}
    seen = set()
    for line in written[0].decode().splitlines():
        head, values, _ = line.split(" ")
        measurement, *tags = head.split(",")
        own = dict(tag.split("=") for tag in tags)
        assert own.pop("host").startswith("host-")
        own.pop("service", None)
        own.pop("interface", None)
        seen |= {(measurement, value.partition("=")[0], tuple(own.items())) for value in values.split(",")}
    assert seen == fields


def until(condition: Callable[[], bool], tries: int = 600) -> bool:
    return any(condition() or pause(0.1) for _ in range(tries))


@pytest.mark.long
def test_up_infra_decides_the_metrics_of_its_source(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    command = ["up", "infra", "--port", "0", "--data", str(tmp_path / "data"), "--no-maintain"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "homeostat", *command], stdout=out, stderr=out, cwd=tmp_path, env=dict(os.environ)
        )
    try:
        assert until(lambda: "decides at" in log.read_text()), log.read_text()
        address = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())[0]

        def decided() -> float:
            page = urllib.request.urlopen(f"{address}/metrics", timeout=30).read().decode()
            return sum(float(value) for value in re.findall(r"^homeostat_decisions_total{.*} ([0-9.e+]+)$", page, re.M))

        assert until(lambda: decided() > 500), log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["access", "--source"], "go with up infra"),
        (["access", "--store", "http://127.0.0.1:9"], "go with up infra"),
        (["infra", "--store", "influx:1"], "give the address of an InfluxDB"),
    ],
)
def test_a_source_that_cannot_be_is_refused_in_a_sentence(capsys, arguments, said) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["up", *arguments])
    assert ended.value.code == 1
    assert said in capsys.readouterr().err


def test_lines_that_are_refused_or_reach_nobody_are_unavailable() -> None:
    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(401)
            self.end_headers()
            self.wfile.write(b'{"error": "a key, please"}')

        def log_message(self, *ignored: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Refuses)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/write?db=a"
    try:
        with pytest.raises(Unavailable, match=r"status 401.*a key, please"):
            post_lines(url, b"m v=1\n")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    with pytest.raises(Unavailable, match="takes no lines"):
        post_lines(url, b"m v=1\n")
