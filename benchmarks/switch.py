"""Another version decides while requests come: `python -m benchmarks.switch [--seconds 10] [--rounds 3] [--json]`.

`homeostat models promote` and `rollback` switch between two versions of the payments app, the shipped models and the
same under another name, so that both do the same work. 300 requests a second come on a fixed schedule. First to a
server on a data folder; then to two server processes, with events for two workers beside them, which share PostgreSQL
and Redis. A switch lasts from the start of its command until a second after its end. Some hundred requests come in that
time, so their p99 is that of a few: there are several rounds, whose requests count together. A command that changes
nothing is called in each round, too: it shows what the command's own work costs beside a server on two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.load_injector import Connection, inject
from benchmarks.replay import say
from benchmarks.serving import events_of, post, started
from homeostat.config.load import load_app
from homeostat.engine.assembly import shipped_bundle
from homeostat.models.bundle import load_bundle, save_bundle

PART, APP = "switch", "payments"
RATE, CONNECTIONS, WARM_S, AFTER_S = 300.0, 32, 3.0, 1.0
SECONDS_MAX = 600.0  # Of requests: they come until all switches are over.
STREAM_RATE = 100.0  # Events a second for the workers.
_VERSION = b'"version":"'


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    due, came : seconds since 1970
    version : that decided
    """

    due: float
    came: float
    version: str


@dataclass(slots=True)
class Sent:
    """The answers to requests, and how many had none or a refusal."""

    answers: list[Answer] = field(default_factory=list)
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Switch:
    """A command that lets another version decide.

    began, ended : of the command, seconds since 1970; written : of the change
    to : the version that decides from then on
    """

    began: float
    ended: float
    written: float
    to: str


class Seen(Connection):
    """A connection that keeps when each answer was due and came, and which version decided."""

    kept: ClassVar[list[tuple[float, float, str]]] = []

    def answered(self, kind: int, due: float) -> None:
        """See `Connection`."""
        super().answered(kind, due)
        at = self.buffer.find(_VERSION) + len(_VERSION)
        version = self.buffer[at : self.buffer.index(b'"', at)].decode() if at >= len(_VERSION) else ""
        self.kept.append((due, time.perf_counter(), version.rpartition("+")[2]))


def send() -> None:
    """The process that sends: a task on standard input, whose end ends it; the answers come back as JSON."""
    task, over = json.loads(sys.stdin.readline()), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    gc.disable()
    since = time.time() - time.perf_counter()
    requests = [(0, text.encode()) for text in task["requests"]]
    found = asyncio.run(inject(task["host"], task["port"], RATE, CONNECTIONS, requests, Seen, over.is_set))
    answers = [(since + due, since + came, version) for due, came, version in Seen.kept]
    json.dump({"answers": answers, "failures": found["failures"], "lost": found["lost"]}, sys.stdout)


@contextmanager
def requests_on(host: str, port: int) -> Iterator[Sent]:
    """Requests come while the block runs; then it is known how they fared."""
    posts = [post(host, event) for event in events_of(APP, int(RATE * SECONDS_MAX))]
    command = [sys.executable, "-m", "benchmarks.switch", "--send"]
    found = Sent()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdin is not None
        sender.stdin.write(json.dumps({"host": host, "port": port, "requests": posts}) + "\n")
        sender.stdin.flush()
        yield found
        printed, _ = sender.communicate()
    told = json.loads(printed)
    found.answers = [Answer(*one) for one in told["answers"]]
    found.failed = told["lost"] + len(told["failures"])


def command(*words: str) -> dict[str, Any]:
    """The JSON that a command prints."""
    called = [sys.executable, "-c", "from homeostat.cli import main; main()", *words, "--json"]
    done = subprocess.run(called, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed: {done.stderr}")
    return dict(json.loads(done.stdout))


def switched(place: Sequence[str], *words: str) -> Switch:
    """Call a command that switches, and say when all of it was."""
    began = time.time()
    found = command("models", *words, "--yes", "--reason", "a benchmark", *place)
    ended = time.time()
    shown = command("settings", "show", str(found["change"]), *place)
    written = float(np.datetime64(shown["at"].removesuffix("Z"), "ns").astype(np.int64)) / 1e9
    return Switch(began, ended, written, found["version"])


def versions(folder: Path, place: Sequence[str]) -> list[str]:
    """The shipped models and a copy of them as versions, the first of which is the champion."""
    shipped = shipped_bundle(load_app(APP))
    assert shipped is not None
    bundle = load_bundle(shipped)
    save_bundle(replace(bundle, about={**bundle.about, "copied": 1}), folder / "copy")
    names = [command("models", "import", str(one), *place)["version"] for one in (shipped, folder / "copy")]
    command("models", "promote", names[0], "--yes", "--app", APP, *place)
    return names


def p99_ms(answers: Sequence[Answer], times: Sequence[tuple[float, float]]) -> float:
    """The latency that 99 % of the requests that were due in these times keep to, in milliseconds."""
    took = [one.came - one.due for one in answers if any(since <= one.due < until for since, until in times)]
    return 1e3 * float(np.percentile(took, 99))


def looked(place: Sequence[str]) -> Switch:
    """Call a command that only looks, and say when that was."""
    began = time.time()
    command("models", "history", *place)
    return Switch(began, time.time(), began, "")


def both(place: Sequence[str], other: str, seconds: float, rounds: int) -> list[list[Switch]]:
    """Look at the history, promote the other version, and go back, so many times, with a while before and after each.

    Returns the looks, the promotions and the ways back.
    """
    found: list[list[Switch]] = [[], [], []]
    for _ in range(rounds):
        for kind, words in enumerate(((), ("promote", other), ("rollback",))):
            time.sleep(seconds)
            found[kind].append(switched(place, *words) if words else looked(place))
    time.sleep(AFTER_S + 1.0)
    return found


def latency_figures(what: str, sent: Sent, called: Sequence[Sequence[Switch]], seconds: float) -> list[Figure]:
    """How much longer requests take in a switch than before it, and how many fail."""
    found, answers = [], sent.answers
    for ones, name in zip(called, ("a command that changes nothing", "promotion", "rollback"), strict=True):
        before = p99_ms(answers, [(one.began - seconds + WARM_S / 2, one.began) for one in ones])
        within = p99_ms(answers, [(one.began, one.ended + AFTER_S) for one in ones])
        note = f"p99 {before:.1f} ms before, {within:.1f} ms in {len(ones)} of them"
        text = f"{what}, {name} under {RATE:g} requests/s: p99 in that time over p99 before"
        target = "" if name.startswith("a command") else "<= 2"
        found.append(Figure(PART, text, within / before, "times", target, note))
    return [*found, Figure(PART, f"{what}: requests that failed, of {len(answers):,}", sent.failed, "", "<= 0")]


def taken(answers: Sequence[Answer], first: str, called: Sequence[Sequence[Switch]]) -> Iterator[tuple[float, float]]:
    """Of each rollback: seconds from the change to the first decision by the old version, and to the last by another.

    first : the version that a rollback leads to
    """
    _, promotions, rollbacks = called
    for back in rollbacks:
        until = min((one.began for one in promotions if one.began > back.ended), default=float("inf"))
        later = [one for one in answers if back.written <= one.came < until]
        came = min((one.came for one in later if one.version == first), default=float("nan"))
        if came != came:
            raise SystemExit("no decision by the old version came after a rollback: the requests ended before, perhaps")
        last = max((one.came for one in later if one.version != first), default=back.written)
        yield came - back.written, last - back.written


def embedded(seconds: float, rounds: int) -> list[Figure]:
    """The figures of a server on a data folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = (f"--data={folder / 'data'}",)
        first, other = versions(folder, place)
        server, host, port = started([APP, *place])
        try:
            with requests_on(host, port) as sent:
                time.sleep(WARM_S)
                called = both(place, other, seconds, rounds)
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=30)
    what, text = "embedded", "to the first decision by the old version"
    came = [came for came, _ in taken(sent.answers, first, called)]
    begun = [seconds + back.written - back.began for seconds, back in zip(came, called[2], strict=True)]
    return [
        *latency_figures(what, sent, called, seconds),
        Figure(PART, f"{what}, the longest rollback: from the change written {text}", max(came), "s", "<= 1"),
        Figure(PART, f"{what}, the longest rollback: from the start of the command {text}", max(begun), "s", "<= 2"),
    ]


class Streamed:
    """Events for workers, and the decisions that they publish, on Redis streams."""

    def __init__(self, url: str) -> None:
        import redis

        self._redis, self._stop = redis.Redis.from_url(url), threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self) -> None:
        for k, event in enumerate(events_of(APP, 1_000_000)):
            if self._stop.wait(1 / STREAM_RATE):
                return
            value = json.dumps({**event, "event_id": f"streamed-{k}", "time": time.time()})
            self._redis.xadd("events", {"value": value, "key": str(event["customer"])}, maxlen=100_000)

    def close(self) -> list[Answer]:
        """Send no more; the decisions so far, which are as late as they came into the stream."""
        self._stop.set()
        self._thread.join()
        time.sleep(1.0)
        found = []
        for place, fields in self._redis.xrange("decisions"):
            came = int(place.split(b"-")[0]) / 1e3
            found.append(Answer(came, came, json.loads(fields[b"value"])["version"].rpartition("+")[2]))
        return found


@contextmanager
def running(config: Path, log: Path) -> Iterator[tuple[str, int]]:
    """Two workers and two server processes; the address of the servers."""
    from homeostat.checks.servers.machine import free_port

    port = free_port()
    words = ["up", APP, "--config", str(config), "--workers=2", "--servers=2", f"--port={port}", "--log=text"]
    code = "from homeostat.cli import main; main()"
    with open(log, "wb") as out:
        up = subprocess.Popen([sys.executable, "-c", code, *words], stdout=out, stderr=out)
        try:
            yield "127.0.0.1", port
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)


def until_all_decide(config: Path, log: Path, processes: int = 4) -> None:
    """Wait until so many processes report that they are there."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        found = command("settings", "list", f"--config={config}")["processes"]
        if sum(not one["gone"] for one in found) >= processes:
            return
        time.sleep(0.5)
    raise SystemExit(f"the processes did not start: {log.read_text()[-2000:]}")


def on_servers(seconds: float, rounds: int) -> list[Figure]:
    """The figures of two workers and two server processes."""
    from homeostat.checks.servers import postgres_server, redis_server

    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        redis, postgres = (opened.enter_context(closing(one)) for one in (redis_server(), postgres_server()))
        for server in (redis, postgres):
            server.start()
        at = redis.url.removeprefix("redis://").rstrip("/").partition("/")[0]
        streams = {one: f"redis-stream://{at}/1/{one}" for one in ("events", "outcomes", "decisions", "dead_letters")}
        config = folder / "servers.yaml"
        config.write_text(json.dumps({"servers": {
            **streams, "features": f"redis://{at}/0", "journal": postgres.url, "group": "switch",
            "models": (folder / "versions").as_uri(), "models_cache": str(folder / "cache"),
            "spool": str(folder / "spool"),
        }}))  # fmt: skip
        place = (f"--config={config}",)
        first, other = versions(folder, place)
        host, port = opened.enter_context(running(config, folder / "up.log"))
        until_all_decide(config, folder / "up.log")
        streamed = Streamed(f"redis://{at}/1")
        with requests_on(host, port) as sent:
            time.sleep(WARM_S)
            called = both(place, other, seconds, rounds)
        decided = streamed.close()
    what = "two workers and two server processes"
    found = latency_figures(what, sent, called, seconds)
    for name, ones in (("servers", sent.answers), ("workers", decided)):
        came, last = (max(times) for times in zip(*taken(ones, first, called), strict=True))
        text = (
            f"{what}, rollback: from the change written to the first decision by the old version, {name}, the longest"
        )
        found.append(Figure(PART, text, came, "s", "<= 3"))
        text = (
            f"{what}, rollback: from the change written to the last decision by the other version, {name}, the longest"
        )
        found.append(Figure(PART, text, last, "s", "<= 3"))
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="before each switch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("embedded", "servers"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--send", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.send:
        send()
        return
    figures, notes = [], []
    for name, measure in (("embedded", embedded), ("servers", on_servers)):
        if given.only in (None, name):
            say(f"switch: {name}")
            figures += measure(given.seconds, given.rounds)
    print(json.dumps(packed(figures, notes)) if given.json else as_text(figures, notes, machine()))


if __name__ == "__main__":
    main()
