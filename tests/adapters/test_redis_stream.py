import json
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest
from redis import Redis
from stream_worker import pick

from homeostat.adapters.redis.stream import RedisStream
from homeostat.adapters.streams.addresses import read_addresses
from homeostat.adapters.streams.opening import ensure_topics, open_stream
from homeostat.checks.servers import redis_server
from homeostat.checks.streams import STREAM_CHECKS, messages, pulled_until
from homeostat.config.servers import Servers
from homeostat.decide.intake.border import TextMessage
from homeostat.ports import Unavailable
from homeostat.ports.streams import Fenced, Outgoing


class RedisBench:
    """Streams of one test. Workers give no sign of life, so that what they hold can be taken over."""

    partitions = 1

    def __init__(self, server):
        self.app = f"app-{uuid.uuid4().hex[:12]}"
        self.keys = {kind: f"{self.app}.{kind}" for kind in ("events", "outcomes", "decisions", "dead_letters")}
        self.servers = Servers(**{kind: f"redis-stream://{server.address}/0/{key}" for kind, key in self.keys.items()})
        self.client = Redis.from_url(server.url)
        self.opened = []

    def open(self, name, **options):
        settings = {"idle_s": 0.5, "alive_every_s": 1e9, **options}
        self.opened.append(RedisStream(read_addresses(self.servers), self.app, name, **settings))
        return self.opened[-1]

    def close(self):
        for stream in self.opened:
            stream.close()
        self.client.close()

    def produce(self, messages, kind="events", partition=None):
        for message in messages:
            trace = {} if message.traceparent is None else {"traceparent": message.traceparent}
            self.client.xadd(self.keys[kind], {"value": message.value, **trace})

    def decisions(self):
        return self.read("decisions")

    def dead_letters(self):
        return self.read("dead_letters")

    def read(self, kind):
        found = [fields for _, fields in self.client.xrange(self.keys[kind])]
        return [
            Outgoing(one[b"value"], one.get(b"key"), (one.get(b"traceparent") or b"").decode() or None) for one in found
        ]


@pytest.fixture
def bench(redis):
    made = RedisBench(redis)
    yield made
    made.close()


@pytest.mark.parametrize("check", STREAM_CHECKS, ids=lambda check: check.__name__)
def test_streams_on_redis_conform(check, bench):
    check(bench)


@pytest.mark.parametrize("name", ["same", "other"])
def test_what_a_killed_worker_had_not_published_is_published_once(name, bench, tmp_path):
    sent = messages(*(f"e{k}" for k in range(40)))
    bench.produce(sent)
    journal = tmp_path / "journal"
    script = [sys.executable, str(Path(__file__).with_name("stream_worker.py"))]
    script += [bench.servers.model_dump_json(exclude_defaults=True), bench.app, "same", str(journal), "journalled"]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as worker:
        assert [worker.stdout.readline().strip() for _ in range(2)] == ["runs", "waits"]
        worker.kill()
    successor = bench.open(name)
    events, _ = pulled_until(successor, len(sent))
    successor.publish([events], [Outgoing(b"decided " + value) for value in events.values], [])
    assert Counter(one.value for one in bench.decisions()) == Counter(b"decided " + one.value for one in sent)


def test_a_living_worker_keeps_what_it_has_and_one_that_shows_no_sign_of_life_loses_it(bench):
    first = bench.open("a", idle_s=600.0, alive_every_s=0.0)
    bench.produce(messages("e1"))
    events, _ = pulled_until(first, 1)
    for k in range(4):
        # As if so much time had passed: the server counts it for each entry.
        bench.client.xclaim(
            bench.keys["events"], bench.app, "a", 0, events.position, idle=900_000, justid=True
        )  # fmt: skip
        if k < 3:
            first.pull(0, 0.0)
        claimed, _ = bench.open(f"b{k}", idle_s=600.0).pull(10, 0.0)
        assert len(claimed) == (k == 3)
        assert first.owned(events) == [k < 3]


def test_an_entry_may_be_the_event_itself(bench):
    stream = bench.open("a")
    sent = {"id": "e1", "amount": "12.5", "card": "007", "ok": "true", "value": "12"}
    bench.client.xadd(bench.keys["events"], sent)
    events, _ = pulled_until(stream, 1)
    assert json.loads(events.values[0]) == sent and type(events.values[0]) is TextMessage


def test_an_entry_whose_value_is_a_message_keeps_its_key(bench):
    stream = bench.open("a")
    bench.client.xadd(bench.keys["events"], {"value": "{}", "key": "k1"})
    events, _ = pulled_until(stream, 1)
    assert (events.values, events.key) == ([b"{}"], [b"k1"])


def test_an_entry_that_was_trimmed_while_pending_is_let_go(bench):
    first = bench.open("same")
    bench.produce(messages("e1", "e2"))
    events, _ = pulled_until(first, 2)
    bench.client.xdel(bench.keys["events"], events.position[0])
    again, _ = pulled_until(bench.open("same"), 1)
    assert again.values == events.values[1:]


def test_a_server_that_is_restarted_costs_nothing(own_server):
    server = own_server(redis_server, persistence=True)
    bench = RedisBench(server)
    stream = bench.open("a", idle_s=5.0)
    sent = messages(*(f"e{k}" for k in range(200)))
    bench.produce(sent[:100])
    stop = threading.Event()

    def work():
        while not stop.is_set():
            events, _ = stream.pull(10, 0.02)
            while len(events):
                try:
                    stream.publish([events], [Outgoing(b"decided " + value) for value in events.values], [])
                    break
                except Fenced:
                    events = pick(events, [row for row, mine in enumerate(stream.owned(events)) if mine])

    worker = threading.Thread(target=work)
    worker.start()
    server.stop()
    while not stream.trouble:
        time.sleep(0.01)
    assert server.address in stream.trouble
    server.start()
    bench.produce(sent[100:])
    end = time.monotonic() + 180
    while len(bench.decisions()) < len(sent) and time.monotonic() < end:
        time.sleep(0.05)
    stop.set()
    worker.join()
    assert Counter(one.value for one in bench.decisions()) == Counter(b"decided " + one.value for one in sent)
    stream.pull(1, 0)
    assert stream.trouble == ""
    bench.close()


def test_waiting_for_a_server_ends_with_a_stop():
    servers = Servers(
        events="redis-stream://u:hunter2@127.0.0.1:1/0/a", decisions="redis-stream://u:hunter2@127.0.0.1:1/0/b"
    )
    stream = open_stream(servers, "app", client_id="a")
    assert not any(map(len, stream.pull(10, 0.01))) and "127.0.0.1:1" in stream.trouble
    threading.Timer(0.1, stream.stop).start()
    with pytest.raises(Unavailable, match="stopped"):
        stream.publish([], [Outgoing(b"d")], [])
    stream.close()
    with pytest.raises(Unavailable) as raised:
        ensure_topics(servers, "app")
    assert "hunter2" not in str(raised.value) + repr(stream) + stream.trouble


def test_streams_are_created_with_their_groups_once(bench):
    assert sorted(ensure_topics(bench.servers, bench.app)) == [bench.keys["events"], bench.keys["outcomes"]]
    assert ensure_topics(bench.servers, bench.app) == []
