"""Workers as processes of their own, on real servers, under a producer's load: what trials of failure rest on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import confluent_kafka as kafka
import numpy as np
import psycopg

from homeostat.adapters.streams.opening import ensure_topics
from homeostat.checks.servers import Server, kafka_broker, postgres_server, redis_server
from homeostat.checks.servers.machine import free_port
from homeostat.checks.servers.server import entered
from homeostat.config.servers import Servers
from homeostat.jobs.simulated import world_of
from homeostat.sim.payments.transactions import generate

TOPICS = ("events", "outcomes", "decisions", "dead_letters")
BAD = (b"{", b"[]", b"\xff\xfe\xfd", b'{"event_id": "no time"}', b'{"event_id": "odd", "time": "never", "customer": 1}')
HORIZON_S = 600.0  # Nothing takes longer than this, also where a busy machine compiles the kernels first.


@dataclass(slots=True)
class Sent:
    """The messages that a producer has sent: the truth that the checkers hold everything against.

    events : each event id's content, in the order in which it was sent first
    outcomes : label by event id
    again : how many further messages had an event's id
    bad : messages that are no events
    """

    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    again: Counter[str] = field(default_factory=Counter)
    bad: int = 0

    @property
    def copies(self) -> int:
        """How many messages repeated others."""
        return self.again.total()


class Starts(Protocol):
    """Starts `homeostat` with these arguments; both of its outputs are appended to a file."""

    def __call__(self, arguments: list[str], output: Path, environment: Mapping[str, str]) -> Any:
        """A process with `poll`, `wait`, `kill` and `send_signal`, as of `subprocess`."""


def started(
    arguments: list[str], output: Path, environment: Mapping[str, str], before: Callable[[], None] | None = None
) -> subprocess.Popen[bytes]:
    """A process from nothing, see `Starts`."""
    # Where one hangs, it says where: see `stopped_after`.
    code = "import faulthandler, signal, sys; faulthandler.register(signal.SIGUSR1); "
    code += "from homeostat.cli import main; sys.exit(main())"
    with open(output, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, **environment}, stdout=log, stderr=log, preexec_fn=before,
        )  # fmt: skip


class FleetServers:
    """Kafka, Redis and PostgreSQL, for one fleet after the other. A context manager.

    persistence : whether Redis appends each write to a file
    starts : starts the fleets' workers
    runs : so many times a fleet has begun on them
    """

    def __init__(self, persistence: bool = True, starts: Starts = started) -> None:
        """Raises CantBeHad."""
        self.starts = starts
        self.redis: Server = redis_server(persistence=persistence)
        self.postgres: Server = postgres_server()
        self.kafka: Server = kafka_broker()
        self.runs = 0

    @property
    def by_name(self) -> dict[str, Server]:
        """All three."""
        return {"redis": self.redis, "postgres": self.postgres, "kafka": self.kafka}

    def start(self) -> None:
        """Start those that don't run, all at once."""
        threads = [threading.Thread(target=server.start) for server in self.by_name.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for server in self.by_name.values():
            assert server.running, f"{server.what} did not start"

    def close(self) -> None:
        """End them, and remove their folders."""
        for server in self.by_name.values():
            server.close()

    def __enter__(self) -> FleetServers:
        return entered(self)

    def __exit__(self, *error: object) -> None:
        self.close()


class Fleet:
    """Kafka, Redis and PostgreSQL, and `homeostat worker` processes on them. A context manager.

    persistence : whether Redis appends each write to a file
    lent : servers that other fleets use before and after this one, never meanwhile; None starts some of its own
    settings : further settings of `servers`
    """

    def __init__(
        self, folder: Path, *, partitions: int = 6, persistence: bool = True, app: str = "payments",
        lent: FleetServers | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        self.folder, self.app, self.partitions = folder, app, partitions
        self._own, self._lent = (FleetServers(persistence), False) if lent is None else (lent, True)
        self.workers: list[WorkerProcess] = []
        self._settings = settings
        self._run = 0

    @property
    def servers(self) -> dict[str, Server]:
        """By name."""
        return self._own.by_name

    @property
    def redis(self) -> Server:
        """The feature store's."""
        return self._own.redis

    @property
    def postgres(self) -> Server:
        """The journal's."""
        return self._own.postgres

    @property
    def kafka(self) -> Server:
        """The streams'."""
        return self._own.kafka

    @property
    def starts(self) -> Starts:
        """Starts a worker."""
        return self._own.starts

    def __enter__(self) -> Fleet:
        try:
            self._own.start()  # Lent ones too: a trial that failed may have left one of them stopped.
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def begin(self) -> None:
        """Go on with topics, a database and logs of its own, as if the servers were new; the workers are gone."""
        for worker in self.workers:
            worker.kill()
        self.workers = []
        self._own.runs += 1
        self._run = self._own.runs
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE run{self._run}")
        ensure_topics(self.addresses, self.app)

    @property
    def redis_url(self) -> str:
        """Where the feature store is."""
        return f"{self.redis.url.rpartition('/')[0]}/{self._run}"  # Redis has 16 of them.

    @property
    def journal_url(self) -> str:
        """Where the journal is."""
        return f"{self.postgres.url.rpartition('/')[0]}/run{self._run}"

    def topic(self, name: str) -> str:
        """The name of a topic."""
        return f"run{self._run}.{name}"

    def __exit__(self, *error: object) -> None:
        for worker in self.workers:
            worker.kill()
        if not self._lent:
            self._own.close()

    @property
    def addresses(self) -> Servers:
        """The servers as workers get them."""
        streams = {name: f"{self.kafka.url}/{self.topic(name)}" for name in TOPICS}
        fixed = {"features": self.redis_url, "journal": self.journal_url, "spool": f"{self.folder}/spool{self._run}"}
        fixed["group"] = f"run{self._run}"
        return Servers(**{**streams, **fixed, "partitions": self.partitions, **self._settings})

    def worker(self, before: Callable[[], None] | None = None) -> WorkerProcess:
        """Start one more worker."""
        made = WorkerProcess(self, len(self.workers), before)
        self.workers.append(made)
        made.start()
        return made

    @property
    def living(self) -> list[WorkerProcess]:
        """Workers that run."""
        return [worker for worker in self.workers if worker.running]

    def reader(self, topic: str) -> Reader:
        """Everything in a topic, as consumers of committed messages see it."""
        return Reader(self, self.topic(topic))


class WorkerProcess:
    """One `homeostat worker`, started again after a kill.

    before : called in the process before it becomes a worker, such as to limit what it may write
    """

    def __init__(self, fleet: Fleet, number: int, before: Callable[[], None] | None = None) -> None:
        self._fleet, self._before = fleet, before
        self.port = free_port()
        self.log = fleet.folder / f"{fleet.topic('worker')}-{number}.log"
        self._process: Any = None

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """With which it ended."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it; it gets ready by itself."""
        declared = self._fleet.addresses.plain.items()
        places = {
            f"HOMEOSTAT_SERVERS__{name.upper()}": str(value) for name, value in declared if not isinstance(value, dict)
        }
        environment = {"OMP_NUM_THREADS": "1", "HOMEOSTAT_LOG": "text", **places}
        arguments = ["worker", self._fleet.app, "--metrics-port", str(self.port)]
        if self._before is None:
            self._process = self._fleet.starts(arguments, self.log, environment)
        else:
            self._process = started(arguments, self.log, environment, self._before)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop_soon(self) -> None:
        """Tell it to drain and end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def dump(self) -> None:
        """Let it log where its threads are."""
        if self.running:
            assert self._process is not None
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(0.3)

    def stop(self, seconds: float = 60.0) -> int:
        """Let it drain and end; its status."""
        assert self._process is not None
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds)

    def asked(self, path: str) -> tuple[int, str]:
        """The answer over HTTP; status 0 where there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def ready(self) -> bool:
        """Whether it says that all is well."""
        return self.running and self.asked("readyz")[0] == 200

    def metric(self, name: str) -> float:
        """The sum of a metric's series."""
        lines = self.asked("metrics")[1].splitlines()
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in found)


class Reader:
    """The messages of a topic, read from its beginning; a thread keeps them up to date until it is closed.

    values : the messages as they came
    times : when each came, on the monotonic clock
    written_ms : when each was written, milliseconds since 1970
    """

    def __init__(self, fleet: Fleet, topic: str) -> None:
        hosts = fleet.kafka.address
        self._consumer = kafka.Consumer({
            "bootstrap.servers": hosts, "group.id": f"outside-{topic}", "isolation.level": "read_committed",
            "enable.auto.commit": False, "reconnect.backoff.max.ms": 500, "log_level": 0,
            "error_cb": lambda error: None,
        })  # fmt: skip
        self._consumer.assign([kafka.TopicPartition(topic, p, 0) for p in range(fleet.partitions)])
        self.values: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.written_ms: list[int] = []
        self.ids: Counter[str] = Counter()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._closing.is_set():
            for message in self._consumer.consume(5000, 0.1):
                if message.error() is None:
                    value = json.loads(message.value())
                    self.values.append(value)
                    self.times.append(time.monotonic())
                    self.written_ms.append(message.timestamp()[1])
                    self.ids[value.get("event_id", "")] += 1
        self._consumer.close()

    def close(self) -> None:
        """Read no more."""
        self._closing.set()
        self._thread.join()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Sender:
    """Sends events, outcomes, copies of both and messages that are neither, and keeps account of it.

    keyed : whether an event goes where others of its customer go; if not, anywhere
    """

    def __init__(self, fleet: Fleet, seed: int = 0, keyed: bool = True) -> None:
        self.sent = Sent()
        self.keyed, self._fleet = keyed, fleet
        self.rng = np.random.default_rng(seed)
        self._producer = kafka.Producer({
            "bootstrap.servers": fleet.kafka.address, "linger.ms": 5, "enable.idempotence": True,
            "message.timeout.ms": 300_000, "log_level": 0, "error_cb": lambda error: None,
            "partitioner": "murmur2_random", "reconnect.backoff.max.ms": 500,
        })  # fmt: skip

    def put(self, topic: str, value: bytes, key: object = None) -> None:
        """One message, once the buffer has room."""
        while True:
            try:
                self._producer.produce(self._fleet.topic(topic), value, None if key is None else str(key).encode())
                break
            except BufferError:
                self._producer.poll(0.05)
        self._producer.poll(0)

    def event(self, event: dict[str, Any], again: bool = False) -> None:
        """An event, or the same event again."""
        event_id = str(event["event_id"])
        if again:
            self.sent.again[event_id] += 1
        else:
            assert event_id not in self.sent.events
            self.sent.events[event_id] = event
        self.put("events", json.dumps(event).encode(), event["customer"] if self.keyed or again else None)

    def outcome(self, event: dict[str, Any], label: int) -> None:
        """The fate of an event."""
        self.sent.outcomes[str(event["event_id"])] = label
        self.put("outcomes", json.dumps({"event_id": event["event_id"], "label": label}).encode(), event["event_id"])

    def bad(self) -> None:
        """A message that is no event."""
        self.put("events", BAD[self.sent.bad % len(BAD)])
        self.sent.bad += 1

    def flush(self) -> None:
        """Wait until the broker has everything."""
        assert self._producer.flush(HORIZON_S) == 0, "the broker does not take what was sent"


def payments(customers: int, days: int, seed: int = 7, late_share: float = 0.0) -> Iterator[tuple[dict[str, Any], int]]:
    """Simulated payments as events, each with its label; some of them later than they should be.

    Every third event id is text, which has no number of its own.
    """
    world = generate(world_of(customers, days), seed)
    n = len(world)
    rng = np.random.default_rng(seed)
    arrival = np.arange(n, dtype=float)
    arrival += np.where(rng.random(n) < late_share, rng.integers(1, 400, n), 0)
    for k in np.argsort(arrival, kind="stable").tolist():
        yield {
            "event_id": k if k % 3 else f"payment-{k}", "time": int(world.time_s[k]),
            "customer": int(world.customer[k]), "terminal": int(world.terminal[k]), "amount": float(world.amount[k]),
        }, int(world.fraud[k])  # fmt: skip


class Load:
    """Sends payments at a rate from a thread of its own until asked to stop, with their outcomes a moment later."""

    def __init__(
        self, sender: Sender, events: Iterator[tuple[dict[str, Any], int]], rate: float, trouble: bool = True,
        outcomes_after: int = 2000,
    ) -> None:  # fmt: skip
        self.sender, self.rate = sender, rate
        self._events, self._trouble, self._after = events, trouble, outcomes_after
        self._waiting: list[tuple[dict[str, Any], int]] = []
        self._stopping = threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more; the outcomes of what was sent are sent, and the broker has everything."""
        if self._thread.is_alive():
            self._stopping.set()
            self._thread.join()
            if self.failure is not None:
                raise self.failure
            for event, label in self._waiting:
                self.sender.outcome(event, label)
            self._waiting = []
            self.sender.flush()

    def _guarded(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self.failure = error

    def _run(self) -> None:
        sender, began, count = self.sender, time.monotonic(), 0
        recent: list[dict[str, Any]] = []
        while not self._stopping.is_set():
            due = int((time.monotonic() - began) * self.rate) - count
            for event, label in (one for one, _ in zip(self._events, range(min(due, 1000)))):
                sender.event(event)
                count += 1
                recent.append(event)
                self._waiting.append((event, label))
                if self._trouble and count % 97 == 0:
                    sender.event(recent[int(sender.rng.integers(len(recent)))], again=True)
                if self._trouble and count % 211 == 0:
                    sender.bad()
            recent = recent[-500:]
            while len(self._waiting) > self._after:
                sender.outcome(*self._waiting.pop(0))
            if due <= 0:
                time.sleep(0.005)


def until(what: str, condition: Callable[[], bool], seconds: float = HORIZON_S) -> float:
    """Wait until something holds; returns how many seconds that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"{what}: not after {seconds:.0f} s")
        time.sleep(0.02)
    return time.monotonic() - began


@contextmanager
def stopped_after(fleet: Fleet) -> Iterator[None]:
    """Print the workers' logs where something went wrong."""
    try:
        yield
    except BaseException as error:
        for worker in fleet.workers:
            worker.dump()
            said = [line for line in worker.log.read_text().splitlines() if "homeostat.kafka: " not in line]
            print(f"--- {worker.log.name}, {worker.asked('readyz')}", *said[-80:], sep="\n", file=sys.stderr)
        print(f"--- {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        raise
