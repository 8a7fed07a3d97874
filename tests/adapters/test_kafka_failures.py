import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from kafka_bench import KafkaBench
from stream_worker import pick

from homeostat.adapters.kafka import member, publisher, topics
from homeostat.adapters.kafka.settings import consumer_settings, producer_settings
from homeostat.adapters.streams.addresses import read_addresses
from homeostat.adapters.streams.opening import ensure_topics, open_stream
from homeostat.checks.servers import kafka_broker
from homeostat.checks.streams import messages, pulled_until
from homeostat.config.servers import Servers
from homeostat.ports import Unavailable
from homeostat.ports.streams import Fenced, Outgoing

QUICK = {"settings": {"session.timeout.ms": 2000, "heartbeat.interval.ms": 300, "transaction.timeout.ms": 4000}}


@pytest.fixture
def bench(kafka):
    made = KafkaBench(kafka, kafka=QUICK)
    yield made
    made.close()


def answer_all(stream, until):
    """Pull and publish until stopped; returns how many were published."""
    count = 0
    while not until():
        events, _ = stream.pull(50, 0.02)
        while len(events):
            try:
                stream.publish([events], [Outgoing(b"decided " + value, value) for value in events.values], [])
                count += len(events)
                break
            except Fenced:
                events = pick(events, [row for row, mine in enumerate(stream.owned(events)) if mine])
    return count


def within(seconds):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def exactly_once(bench, sent):
    return Counter(message.value for message in bench.decisions()) == Counter(
        b"decided " + message.value for message in sent
    )


@pytest.mark.parametrize(("where", "name"), [("journalled", "other"), ("committing", "same"), ("committing", "other")])
def test_what_a_killed_worker_had_not_published_is_published_once(where, name, bench, tmp_path):
    sent = messages(*(f"e{k}" for k in range(40)))
    bench.produce(sent)
    script = [
        sys.executable,
        str(Path(__file__).with_name("stream_worker.py")),
        bench.servers.model_dump_json(exclude_defaults=True),
        bench.app,
    ]
    journal = str(tmp_path / "journal")
    with subprocess.Popen([*script, "same", journal, where], stdout=subprocess.PIPE, text=True) as worker:
        assert [worker.stdout.readline().strip() for _ in range(2)] == ["runs", "waits"]
        worker.kill()
    assert Path(journal).stat().st_size > 0
    if where == "committing":
        assert len(bench.read("decisions", "read_uncommitted")) > 0
    successor = bench.open(name)
    done, end = 0, within(180)
    while done < len(sent) and not end():
        done += answer_all(successor, within(0.2))
    assert exactly_once(bench, sent)


def test_a_worker_that_was_frozen_until_others_took_over_publishes_nothing(bench, tmp_path):
    sent = messages(*(f"e{k}" for k in range(40)))
    bench.produce(sent)
    script = [sys.executable, str(Path(__file__).with_name("stream_worker.py"))]
    script += [
        bench.servers.model_dump_json(exclude_defaults=True),
        bench.app,
        "a",
        str(tmp_path / "journal"),
        "paused",
    ]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert [worker.stdout.readline().strip() for _ in range(2)] == ["runs", "waits"]
        worker.send_signal(signal.SIGSTOP)
        successor = bench.open("b")
        done, end = 0, within(180)
        while done < len(sent) and not end():
            done += answer_all(successor, within(0.2))
        worker.send_signal(signal.SIGCONT)
        print("", file=worker.stdin, flush=True)
        assert worker.stdout.readline().strip() == "fenced"
        answer_all(successor, within(0.5))
        worker.kill()
    assert exactly_once(bench, sent)


def test_each_message_is_answered_once_while_workers_come_and_go_under_load(bench):
    sent = messages(*(f"e{k}" for k in range(3000)))
    stop = threading.Event()
    published = Counter()

    def work(name):
        stream = open_stream(bench.servers, bench.app, client_id=name)
        published[name] += answer_all(stream, lambda: stop.is_set() or name in leave)
        stream.close()

    leave = set()
    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b", "c")]
    threads[0].start()
    for k in range(0, len(sent), 100):
        bench.produce(sent[k : k + 100])
        time.sleep(0.05)
        if k == 600:
            threads[1].start()
        if k == 1500:
            threads[2].start()
        if k == 2200:
            leave.add("a")
    end = within(180)
    while not end():
        if len(bench.read("decisions", "read_uncommitted")) >= len(sent):
            break
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert exactly_once(bench, sent)


def test_a_broker_that_is_killed_while_a_worker_publishes_costs_nothing(own_server):
    broker = own_server(kafka_broker)
    bench = KafkaBench(broker)
    sent = messages(*(f"e{k}" for k in range(2000)))
    stop = threading.Event()
    stream = bench.open("a")
    worker = threading.Thread(target=answer_all, args=(stream, stop.is_set))
    bench.produce(sent[:500])
    worker.start()
    for k in range(500, 1000, 50):
        bench.produce(sent[k : k + 50])
    broker.kill()
    end = within(180)
    while not stream.trouble and not end():
        time.sleep(0.05)
    assert "Kafka" in stream.trouble
    broker.start()
    bench.produce(sent[1000:])
    end = within(180)
    while len(bench.read("decisions")) < len(sent) and not end():
        time.sleep(0.2)
    stop.set()
    worker.join()
    assert exactly_once(bench, sent)
    stream.pull(0, 0.0)
    assert stream.trouble == ""
    bench.close()


def test_waiting_for_a_broker_ends_with_a_stop(kafka, monkeypatch):
    monkeypatch.setattr(topics, "ANSWER_S", 1.0)
    servers = Servers(events="kafka://127.0.0.1:1/a", decisions="kafka://127.0.0.1:1/b")
    stream = open_stream(servers, "app", client_id="a")
    end = within(180)
    while not stream.trouble and not end():
        assert not any(map(len, stream.pull(10, 0.05)))
    assert "127.0.0.1:1" in stream.trouble
    threading.Timer(0.1, stream.stop).start()
    with pytest.raises(Unavailable, match="stopped"):
        stream.publish([], [Outgoing(b"d")], [])
    stream.close()
    with pytest.raises(Unavailable, match="doesn't answer"):
        ensure_topics(servers, "app")


def test_a_producer_that_was_fenced_is_replaced(bench):
    stream = bench.open("same")
    for decision in (b"d1", b"d2"):
        bench.produce(messages("e"), partition=0)
        events, _ = pulled_until(stream, 1)
        stream.publish([events], [Outgoing(decision)], [])
        other = {"bootstrap.servers": bench.broker.address, "transactional.id": f"{bench.app}.same"}
        Producer(other).init_transactions(180)
    assert [message.value for message in bench.decisions()] == [b"d1", b"d2"]


def test_a_commit_that_broke_off_is_neither_lost_nor_done_twice(bench):
    import confluent_kafka as kafka

    stream = bench.open("a")
    for took_place in (True, False):
        bench.produce(messages("e"), partition=0)
        events, _ = pulled_until(stream, 1)
        real = stream._publisher
        real._ready()
        producer = real._producer

        class BreaksOff:
            def __getattr__(self, name):
                return getattr(producer, name)

            def commit_transaction(self, timeout):
                if took_place:
                    producer.commit_transaction(timeout)
                raise kafka.KafkaException(kafka.KafkaError(kafka.KafkaError._FENCED, "broken off", True))

        real._producer = BreaksOff()
        stream.publish([events], [Outgoing(b"decided")], [])
        assert real._producer is not producer
    assert [message.value for message in bench.decisions()] == [b"decided"] * 2


def test_messages_of_aborted_transactions_are_not_pulled(bench):
    producer = Producer({"bootstrap.servers": bench.broker.address, "transactional.id": bench.app})
    producer.init_transactions(180)
    for name, end in (("e1", "commit"), ("e2", "abort"), ("e3", "commit")):
        producer.begin_transaction()
        producer.produce(bench.topics["events"], name.encode(), partition=0)
        producer.flush(180)
        getattr(producer, f"{end}_transaction")(180)
    stream = bench.open("a")
    events, _ = pulled_until(stream, 2)
    assert events.values == [b"e1", b"e3"] and events.position == ["0", "4"]
    end = within(180)
    while any(stream.lag().values()) and not end():
        assert not any(map(len, stream.pull(10, 0.05)))
    assert not any(stream.lag().values())
    stream.publish([events], [], [])


def test_a_worker_that_was_thrown_out_joins_again(bench, monkeypatch):
    monkeypatch.setattr(publisher, "_UNKNOWN_S_MAX", 0.3)
    group = gone_member(bench)
    stream = bench.open("a")
    bench.produce(messages("e1"), partition=0)
    events, _ = pulled_until(stream, 1)
    real = stream._events.consumer
    stream._events.consumer = Expelled(real, group)
    generation = stream.generation
    with pytest.raises(Fenced):
        stream.publish([events], [Outgoing(b"d")], [])
    assert stream.owned(events) == [False]
    stream._events.consumer = real
    assert not any(map(len, stream.pull(10, 0.1)))
    monkeypatch.setattr(member, "REJOIN_S", 0.0)
    again, _ = pulled_until(stream, 1)
    assert again.values == events.values and stream.generation > generation
    stream.publish([again], [Outgoing(b"d")], [])
    assert [message.value for message in bench.decisions()] == [b"d"]


class Expelled:
    """A consumer whose group knows it no more."""

    def __init__(self, real, group):
        self._real, self._group = real, group

    def consumer_group_metadata(self):
        return self._group

    def __getattr__(self, name):
        return getattr(self._real, name)


def gone_member(bench):
    """A member that has left its group."""
    own = {"bootstrap.servers": bench.broker.address, "group.id": bench.app, "group.protocol": "classic"}
    consumer = Consumer({**own, "partition.assignment.strategy": "cooperative-sticky"})
    consumer.subscribe([bench.topics["events"]])
    end = within(180)
    while not consumer.assignment() and not end():
        consumer.poll(0.1)
    group = consumer.consumer_group_metadata()
    consumer.close()
    return group


def test_passwords_are_in_no_error_and_no_text(kafka):
    secret = "hunter2hunter2"
    settings = {"sasl_mechanism": "PLAIN", "username": "u", "password": secret, "tls": True}
    urls = {name: f"kafka://127.0.0.1:{kafka.port}/{name}" for name in ("events", "decisions")}
    good = Servers(**urls, kafka=settings)
    own = consumer_settings(read_addresses(good), good.kafka, "g", "c")
    assert own["security.protocol"] == "sasl_ssl" and own["sasl.password"] == secret
    assert producer_settings(read_addresses(good), good.kafka, "g", "c")["sasl.mechanism"] == "PLAIN"
    stream = open_stream(good, "app", client_id="a")
    assert secret not in repr(stream) + str(stream.trouble)
    stream.close()
    for wrong in ({"no.such.setting": secret}, {"ssl.key.password": secret, "ssl.key.pem": secret}):
        servers = Servers(**urls, kafka={**settings, "settings": wrong})
        with pytest.raises(ValueError) as raised:
            open_stream(servers, "app", client_id="a").close()
        assert secret not in str(raised.value) and raised.value.__cause__ is None
    with pytest.raises(ValueError, match=r"can't set isolation\.level"):
        open_stream(Servers(**urls, kafka={"settings": {"isolation.level": "x"}}), "app", client_id="a")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"events": "kafka://h/a"}, "servers.decisions"),
        ({"events": "kafka://h/a", "decisions": "kafka://other/b"}, "servers.decisions should be on the servers"),
        ({"events": "kafka://h/a", "decisions": "kafka://h/a"}, "different streams"),
        ({"events": "kafka://h/a/b", "decisions": "kafka://h/b"}, "/topic"),
        ({"events": "kafka://u:hunter2@h/a", "decisions": "kafka://h/b"}, "servers.kafka"),
        ({"events": "kafka://h:x/a", "decisions": "kafka://h/b"}, "name:port"),
        ({"events": "kafka:///a", "decisions": "kafka://h/b"}, "no host"),
        ({"events": "redis-stream://h/a", "decisions": "redis-stream://h/0/b"}, "/db/key"),
    ],
)
def test_an_address_that_cannot_work_is_refused_and_named(given, said):
    with pytest.raises(ValueError, match=said) as raised:
        open_stream(Servers(**given), "app", client_id="a")
    assert "hunter2" not in str(raised.value)


def test_a_producer_whose_step_never_returns_is_left_behind(monkeypatch):
    monkeypatch.setattr(publisher, "_STUCK_S", 0.05)
    ours = publisher.Publisher({"bootstrap.servers": "127.0.0.1:1"}, "decisions", None, threading.Event())
    never, calls = threading.Event(), Counter()

    def step():
        calls["step"] += 1
        never.wait(60)

    with pytest.raises(KafkaException, match="went away"):
        ours._bounded(step)
    never.set()
    assert calls["step"] == 1 and ours._producer is None
