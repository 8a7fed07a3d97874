"""Sends hostile input down every road in, and says what became of it: `python -m benchmarks.fuzz --rounds 100000`.

Each message must become an event or one dead letter, or be refused with a sentence; nothing else may be raised, no
process may end, and the time that a message takes may grow no faster than its length.
"""

from __future__ import annotations

import argparse
import http.client
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile import Hostile
from homeostat.adapters.disk.event_files import EventFileError, read_events
from homeostat.checks.bad_events import NOW_NS, SCHEMA, good_event
from homeostat.config.faults import AppFileError
from homeostat.config.load import parse_app, shipped_apps
from homeostat.decide.intake.lines import parse_events, read_lines

ROWS = 40  # Of a file; one message is one row.
ALLOWED_US = 50_000.0  # A message's time however short it is: a busy machine, a collection of garbage.
ALLOWED_US_A_BYTE = 20.0
ALLOWED_ANSWER_US = 3_000_000.0  # Of a server, whose answers wait for the machine, too.
OUR_STATUSES = {200, 400, 404, 413, 415, 422, 429}
WAIT_S = 120.0


class Fault(AssertionError):
    """Something happened that must not happen."""


@dataclass(slots=True)
class Report:
    """The results of one road's messages.

    slowest_us : of one message, processor time where it is read in this process, else the answer's
    slope : microseconds a byte of the slowest message among the long ones
    timed : whether a message that takes out of all proportion to its length is a fault
    """

    road: str
    messages: int = 0
    events: int = 0
    letters: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest_us: float = 0.0
    slope: float = 0.0
    timed: bool = True
    reasons: Counter[str] = field(default_factory=Counter)

    def took(self, us: float, size: int, where: str, allowed_us: float = ALLOWED_US) -> None:
        """Note a message's time. Raises Fault where it is out of proportion to its length."""
        self.slowest_us = max(self.slowest_us, us)
        if size >= 4096:
            self.slope = max(self.slope, us / size)
        if self.timed and us > allowed_us + ALLOWED_US_A_BYTE * size:
            raise Fault(f"{self.road}: {us / 1e6:.2f} s for {size} bytes ({where})")


def payment(number: int) -> dict[str, Any]:
    """A sound event of `bad_events.SCHEMA`."""
    return good_event(number, np.random.default_rng(number))


def login(number: int) -> dict[str, Any]:
    """A sound event of the shipped app `access`."""
    return {
        "event_id": f"e{number}", "entity_id": f"user-{number % 50}", "event_type": ("login", "read")[number % 2],
        "value": number % 11 / 2, "timestamp": 1_700_000_000 + number % 100_000,
    }  # fmt: skip


def _kept(raw: bytes, road: str) -> str:
    """Where the message that did it is to be found."""
    path = Path(tempfile.gettempdir()) / f"homeostat-fuzz-{road}-{uuid.uuid4().hex[:8]}"
    path.write_bytes(raw)
    return str(path)


@contextmanager
def _message(report: Report, raw: bytes) -> Iterator[None]:
    begun = time.thread_time_ns()
    try:
        yield
    except Exception as error:
        raise Fault(
            f"{report.road}: {type(error).__name__}: {error} (the message is {_kept(raw, report.road)})"
        ) from error
    report.took((time.thread_time_ns() - begun) / 1e3, len(raw), f"seeded message {report.messages}")


def bodies(rounds: int, seed: int, report: Report, server: Any = None) -> None:
    """Bodies of requests as they are read, without a server."""
    hostile = Hostile(seed, payment)
    for number in range(rounds):
        raw = hostile.body(number)
        with _message(report, raw):
            batch, letters, _ = parse_events(raw, SCHEMA, NOW_NS)
        _count(report, len(batch), letters, 1)


def _count(report: Report, events: int, letters: list[Any], messages: int) -> None:
    report.messages += messages
    report.events += events
    report.letters += len(letters)
    report.reasons.update(letter.reason for letter in letters)


def lines(rounds: int, seed: int, report: Report, server: Any = None) -> None:
    """JSON lines, in blocks of several sizes, so that one by one and as columns both have their turn."""
    hostile = Hostile(seed, payment)
    while report.messages < rounds:
        count = min(hostile.rng.choice((1, 3, 40, 200)), rounds - report.messages)
        block = [hostile.json(report.messages + k).replace(b"\n", b" ") for k in range(count)]
        with _message(report, b"\n".join(block)):
            batch, letters = read_lines(block, SCHEMA, NOW_NS)
        blank = sum(not line.strip() for line in block)
        if len(batch) + len(letters) + blank != count:
            raise Fault(f"lines: {count} became {len(batch)} events and {len(letters)} letters")
        _count(report, len(batch), letters, count)


def _file(report: Report, path: Path, raw: bytes, rows: int) -> None:
    path.write_bytes(raw)
    with _message(report, raw):
        try:
            for batch, letters in read_events(path, SCHEMA, NOW_NS):
                _count(report, len(batch), letters, 0)
        except EventFileError as error:
            report.refused += 1
            report.reasons["refused: " + str(error).replace(str(path), "").strip(" :")[:24]] += 1
    report.messages += rows


def jsonl(rounds: int, seed: int, report: Report, server: Any = None) -> None:
    """Files of JSON lines."""
    hostile = Hostile(seed, payment)
    with tempfile.TemporaryDirectory() as folder:
        while report.messages < rounds:
            rows = [hostile.json(report.messages + k) for k in range(ROWS)]
            _file(report, Path(folder) / "e.jsonl", hostile.rng.choice((b"\n", b"\n", b"\r\n", b"\r")).join(rows), ROWS)


def csv(rounds: int, seed: int, report: Report, server: Any = None) -> None:
    """Files of CSV."""
    hostile = Hostile(seed, payment)
    with tempfile.TemporaryDirectory() as folder:
        while report.messages < rounds:
            _file(report, Path(folder) / "e.csv", hostile.csv(ROWS, SCHEMA.names()), ROWS)


def parquet(rounds: int, seed: int, report: Report, server: Any = None) -> None:
    """Files of Parquet, each of which counts as one message."""
    hostile = Hostile(seed, payment)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            _file(report, Path(folder) / "e.parquet", hostile.parquet(SCHEMA.names()), 1)


def apps(rounds: int, seed: int, report: Report, server: Any = None) -> None:
    """App files."""
    from importlib import resources

    texts = [resources.files("homeostat.apps").joinpath(name, "app.yaml").read_text() for name in shipped_apps()]
    hostile = Hostile(seed, login)
    for _ in range(rounds):
        text = hostile.text(hostile.rng.choice(texts))
        raw = text.encode("utf-8", "surrogatepass")
        with _message(report, raw):
            try:
                parse_app(text)
                report.events += 1
            except AppFileError:
                report.refused += 1
        report.messages += 1


# Roads that end in servers.


@contextmanager
def _served(folder: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-c", "from homeostat.cli import main; main()", "serve", "access", "--port", "0"]
    with subprocess.Popen(
        [*command, "--data", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "://127.0.0.1" in line:
                break
        else:
            raise Fault(f"http: the server did not start: {said}")
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        reader.start()
        try:
            yield process, int(said.rsplit("://127.0.0.1:", 1)[1].split()[0].strip(",/"))
        finally:
            process.terminate()
            process.wait(60)
            reader.join()


def served(rounds: int, seed: int, report: Report, server: Any = None) -> None:
    """Requests to a server in a process of its own."""
    hostile = Hostile(seed, login)
    with tempfile.TemporaryDirectory() as folder, _served(folder) as (process, port), ExitStack() as wound_up:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        wound_up.callback(connection.close)
        for number in range(rounds):
            raw = hostile.body(number)
            path = "/v1/outcomes" if number % 5 == 0 else "/v1/decide"
            begun = time.perf_counter_ns()
            connection.request("POST", path, raw, {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            report.took((time.perf_counter_ns() - begun) / 1e3, len(raw), f"request {number}", ALLOWED_ANSWER_US)
            if answer.status not in OUR_STATUSES:
                raise Fault(f"http: {answer.status} {text[:200]!r} (the body is {_kept(raw, 'http')})")
            report.messages += 1
            parsed = json.loads(text)
            for one in parsed if isinstance(parsed, list) else [parsed]:
                report.events += "action" in one or "accepted" in one
                report.letters += "errors" in one
                report.reasons.update(error["reason"] for error in one.get("errors", ()))
            report.refused += answer.status in (400, 413)
        connection.request("GET", "/healthz")
        well = connection.getresponse()
        well.read()
        if well.status != 200 or process.poll() is not None:
            raise Fault("http: the server is not well afterwards")


def _worked(report: Report, servers: Any, produce: Callable[[int], None], rounds: int) -> None:
    """Let a worker read what was produced, on a journal and a feature store in memory."""
    from homeostat.adapters.memory.features import MemoryFeatures
    from homeostat.adapters.memory.journal import Ledger, MemoryJournal
    from homeostat.adapters.streams.opening import open_stream
    from homeostat.engine.shared.connecting import open_shared
    from homeostat.worker.in_flight import InFlightJournal
    from homeostat.worker.worker import Worker

    made: list[InFlightJournal] = []

    def in_flight(journal: Any) -> InFlightJournal:
        made.append(InFlightJournal(journal))
        return made[0]

    journal: Any = MemoryJournal(Ledger())
    parts = open_shared("access", servers, wrap=in_flight, journal=journal, store=MemoryFeatures())
    worker = Worker(parts, made[0], open_stream(servers, uuid.uuid4().hex, client_id=uuid.uuid4().hex))
    letters: Counter[str] = Counter()
    worker.on_published = lambda work, decisions, now_ns: letters.update(one.reason for _, one in work.batch.letters)
    broken: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:
            broken.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        produce(rounds)
        until = time.monotonic() + WAIT_S + rounds / 500
        while time.monotonic() < until and not broken:
            counts = worker.counts
            if counts.published + letters.total() + counts.repeated >= rounds and counts.pulled >= rounds:
                break
            time.sleep(0.02)
    finally:
        worker.stop()
        thread.join(WAIT_S)
        worker.close()
    if broken:
        raise Fault(f"{report.road}: the worker ended: {type(broken[0]).__name__}: {broken[0]}") from broken[0]
    counts = worker.counts
    report.messages, report.events, report.letters = counts.pulled, counts.published + counts.repeated, letters.total()
    report.reasons = letters
    if report.messages != rounds or report.events + report.letters < rounds:
        raise Fault(f"{report.road}: of {rounds} messages {report.events} were decided and {report.letters} refused")


def kafka(rounds: int, seed: int, report: Report, server: Any = None) -> None:
    """Messages on Kafka, tombstones among them, read by a worker."""
    from confluent_kafka import Producer

    from homeostat.adapters.streams.opening import ensure_topics
    from homeostat.checks.servers import kafka_broker
    from homeostat.config.servers import Servers

    hostile = Hostile(seed, login)
    name = f"fuzz-{uuid.uuid4().hex[:8]}"
    with nullcontext(server) if server else kafka_broker() as broker, tempfile.TemporaryDirectory() as folder:
        kinds = ("events", "decisions", "dead_letters")
        servers = Servers(**{kind: f"{broker.url}/{name}.{kind}" for kind in kinds}, spool=folder)  # type: ignore[arg-type]
        ensure_topics(servers, name)
        producer = Producer({"bootstrap.servers": broker.address})

        def produce(count: int) -> None:
            for number in range(count):
                raw = None if hostile.rng.random() < 0.02 else hostile.json(number)
                key = None if hostile.rng.random() < 0.3 else hostile.rng.randbytes(hostile.rng.randrange(6))
                while True:
                    try:
                        producer.produce(f"{name}.events", raw, key)
                        break
                    except BufferError:
                        producer.poll(0.1)
                producer.poll(0)
            producer.flush(60)

        _worked(report, servers, produce, rounds)


def redis(rounds: int, seed: int, report: Report, server: Any = None) -> None:
    """Entries of a Redis stream, of one message or of fields, read by a worker."""
    import redis as client

    from homeostat.checks.servers import redis_server
    from homeostat.config.servers import Servers

    hostile = Hostile(seed, login)
    name = f"fuzz-{uuid.uuid4().hex[:8]}"
    with nullcontext(server) if server else redis_server() as server, tempfile.TemporaryDirectory() as folder:
        kinds = ("events", "decisions", "dead_letters")
        urls = {kind: f"redis-stream://{server.address}/0/{name}.{kind}" for kind in kinds}
        servers = Servers(**urls, spool=folder)  # type: ignore[arg-type]
        connection = client.Redis.from_url(server.url)

        def produce(count: int) -> None:
            for start in range(0, count, 200):
                pipe = connection.pipeline(transaction=False)
                for number in range(start, min(start + 200, count)):
                    whole = hostile.rng.random() < 0.4
                    entry = {b"value": hostile.json(number)} if whole else hostile.fields(number)
                    pipe.xadd(f"{name}.events", entry)  # type: ignore[arg-type]
                pipe.execute()

        _worked(report, servers, produce, rounds)
        connection.close()


ROADS: dict[str, Callable[[int, int, Report, Any], None]] = {
    "bodies": bodies, "lines": lines, "jsonl": jsonl, "csv": csv, "parquet": parquet, "apps": apps, "http": served,
    "kafka": kafka, "redis": redis,
}  # fmt: skip


def run(road: str, rounds: int, seed: int, *, timed: bool = True, server: Any = None) -> Report:
    """One road. Raises Fault.

    server : one that runs, for a road that ends in one; its own when absent
    """
    read_lines(
        [json.dumps(payment(k)).encode() for k in range(64)], SCHEMA, NOW_NS
    )  # Loads what is loaded when needed.
    report = Report(road, timed=timed)
    begun = time.perf_counter()
    ROADS[road](rounds, seed, report, server)
    report.seconds = time.perf_counter() - begun
    return report


def as_text(report: Report) -> str:
    """One road's line."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in report.reasons.most_common(8))
    return (
        f"{report.road:8} {report.messages:8,} messages, {report.events:8,} taken, {report.letters:8,} dead letters, "
        f"{report.refused:7,} refused, {report.seconds:6.0f} s, slowest {report.slowest_us / 1e3:.1f} ms"
        + (f", {report.slope:.2f} us a byte at most" if report.slope else "")
        + (f"\n         {reasons}" if reasons else "")
    )


def main() -> int:
    """All the roads that were asked for; status 1 where one ends in a fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100_000, help="messages for each road")
    parser.add_argument("--road", nargs="+", choices=[*ROADS, "all"], default=["all"], help="which roads")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    roads = list(ROADS) if "all" in options.road else options.road
    status = 0
    for road in roads:
        try:
            print(as_text(run(road, options.rounds, options.seed)), flush=True)
        except Fault as fault:
            print(f"FAULT {fault}", flush=True)
            status = 1
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at the most", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
