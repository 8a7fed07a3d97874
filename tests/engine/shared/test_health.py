"""The findings about servers: those that are well, those that are not, and those that are not there."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from itertools import count

import confluent_kafka
import psycopg
import pytest
import redis as redis_client

from homeostat.adapters.postgres import PostgresJournal
from homeostat.adapters.postgres.schema import HEAD
from homeostat.adapters.streams.opening import ensure_topics, open_stream
from homeostat.checks.servers import redis_server
from homeostat.config.servers import Servers
from homeostat.engine.assembly import prepare
from homeostat.engine.shared.health import examine

NUMBERS = count(1)


@pytest.fixture(scope="module")
def app():
    return prepare("access")


def event(number, **other):
    sent = {"event_id": f"e{number}", "entity_id": "u", "event_type": "login", "timestamp": 1_780_000_000 + number}
    return json.dumps({**sent, **other}).encode()


MESSAGES = [*(event(k) for k in range(8)), b"no json", event(9, entity_id=None)]


def named(diagnoses, what):
    return [diagnosis for diagnosis in diagnoses if diagnosis.what == what]


def one(diagnoses, what):
    [diagnosis] = named(diagnoses, what)
    return diagnosis


def broken(diagnoses):
    return [diagnosis for diagnosis in diagnoses if diagnosis.health == "broken"]


def topics(broker, partitions=2, **more):
    address = f"{broker.url}/health-{next(NUMBERS)}"
    return Servers(
        events=f"{address}.events", outcomes=f"{address}.outcomes", decisions=f"{address}.decisions",
        partitions=partitions, group=address.rpartition("/")[2], **more,
    )  # fmt: skip


def test_a_kafka_that_is_well_and_messages_that_are_not(kafka, app):
    servers = topics(kafka)
    before = examine(servers, app)
    assert not broken(before) and one(before, f"topic {servers.events.rpartition('/')[2]}").health == "warning"
    ensure_topics(servers, "access")
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka.address})
    for at, message in enumerate(MESSAGES):
        producer.produce(servers.events.rpartition("/")[2], message, partition=at % 2)
    producer.produce(servers.outcomes.rpartition("/")[2], json.dumps({"event_id": "e1", "label": 1}).encode())
    assert producer.flush(180) == 0
    diagnoses = examine(servers, app)
    assert not broken(diagnoses)
    assert one(diagnoses, f"topic {servers.events.rpartition('/')[2]}").seen == "2 partitions"
    schema = one(diagnoses, "events schema")
    assert schema.health == "warning" and schema.seen.startswith("8 of the last 10 messages can be read")
    assert "malformed" in schema.seen and "entity: missing (1)" in schema.seen and schema.mend
    assert one(diagnoses, "outcomes schema").seen == "1 of the last 1 messages can be read"
    lag = one(diagnoses, "lag")
    assert lag.health == "warning" and lag.seen.startswith("11 messages") and ".events/0: 5" in lag.seen
    assert one(diagnoses, "kafka transactions").health == one(diagnoses, "kafka clock").health == "ok"


def test_more_workers_than_partitions_are_said(kafka, app):
    servers = topics(kafka, partitions=1)
    ensure_topics(servers, "access")
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(open_stream(servers, "access", client_id=f"w{k}"))) for k in range(2)]
        for _ in range(3000):
            for stream in streams:
                stream.pull(10, 0.05)
            if sum(stream.generation for stream in streams) >= 1 and "1 have no partition" in workers(servers, app):
                break
        assert "2 in the group" in workers(servers, app) and "1 have no partition" in workers(servers, app)


def test_the_group_of_outcomes_is_named_where_it_has_other_members(kafka, app):
    servers = topics(kafka, partitions=1)
    ensure_topics(servers, "access")
    group = servers.group or "access"
    settings = {"bootstrap.servers": kafka.address, "group.id": f"{group}.outcomes"}
    with closing(confluent_kafka.Consumer(settings)) as consumer:
        consumer.subscribe([servers.outcomes.rpartition("/")[2]])
        for _ in range(3000):
            consumer.poll(0.05)
            if consumer.assignment():
                break
        assert workers(servers, app) == f"0 in the group {group}, 1 in the group {group}.outcomes"


def workers(servers, app):
    return one(examine(servers, app), "workers").seen


@pytest.mark.long
def test_servers_that_are_not_there_are_findings_without_passwords(app, tmp_path):
    at = "127.0.0.1:9"
    servers = Servers(
        events=f"kafka://{at}/a.events", decisions=f"kafka://{at}/a.decisions", features=f"redis://:hunter2@{at}/0",
        journal=f"postgresql://me:hunter2@{at}/db", spool=str(tmp_path),
    )  # fmt: skip
    diagnoses = examine(servers, app)
    assert {diagnosis.what for diagnosis in broken(diagnoses)} == {"events", "features", "journal"}
    assert all(diagnosis.mend for diagnosis in broken(diagnoses)) and "hunter2" not in repr(diagnoses)
    streams = Servers(events=f"redis-stream://:hunter2@{at}/0/e", decisions=f"redis-stream://:hunter2@{at}/0/d")
    diagnoses = examine(streams, app)
    assert [diagnosis.what for diagnosis in broken(diagnoses)] == ["events"] and "hunter2" not in repr(diagnoses)


@pytest.mark.long
def test_connections_in_plain_text_are_findings_and_passwords_sent_over_them_break(app):
    at = "server.invalid:9"
    own = {"sasl_mechanism": "PLAIN", "username": "me", "password": "hunter2"}
    servers = Servers(events=f"kafka://{at}/e", decisions=f"kafka://{at}/d", kafka=own, features=f"redis://{at}/0")
    diagnoses = examine(servers, app)
    kafka, redis = one(diagnoses, "kafka encryption"), one(diagnoses, "redis encryption")
    assert kafka.health == "broken" and "PLAIN" in kafka.seen and "servers.kafka.tls" in kafka.mend
    assert redis.health == "warning" and "rediss://" in redis.mend and "hunter2" not in repr(diagnoses)


def test_settings_that_can_not_work_are_findings(kafka, app):
    own = {"sasl_mechanism": "PLAIN", "username": "me", "password": "hunter2"}
    for settings in ({"settings": {"no.such.setting": "hunter2"}}, own):
        diagnoses = examine(topics(kafka, kafka=settings), app)
        assert broken(diagnoses) and "hunter2" not in repr(diagnoses)
    diagnoses = examine(Servers(events=f"{kafka.url}/x"), app)
    assert "servers.decisions" in one(diagnoses, "events").seen


def test_redis_that_forgets_drops_or_refuses(own_server, redis, app):
    server = own_server(redis_server, options=("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"))
    diagnoses = examine(Servers(features=server.url), app)
    sent = [diagnosis for diagnosis in named(diagnoses, "redis") if diagnosis.health == "warning"]
    assert any("Set appendonly yes" in diagnosis.mend for diagnosis in sent)
    assert any("noeviction" in diagnosis.mend for diagnosis in sent) and not broken(diagnoses)
    client = redis_client.Redis.from_url(server.url)
    client.execute_command("ACL SETUSER reader on >hunter2 ~* +@read +info +acl|whoami +acl|dryrun")
    client.close()
    diagnoses = examine(Servers(features=f"redis://reader:hunter2@{server.address}/0"), app)
    [diagnosis] = broken(diagnoses)
    assert "may not: evalsha" in diagnosis.seen and "Allow these" in diagnosis.mend and "hunter2" not in repr(diagnoses)


def test_redis_streams_are_looked_at_too(redis, app):
    key = f"health-{next(NUMBERS)}"
    streams = redis.url.replace("redis://", "redis-stream://")
    servers = Servers(events=f"{streams}/{key}.events", decisions=f"{streams}/{key}.decisions", group=key)
    assert one(examine(servers, app), f"stream {key}.events").health == "warning"
    ensure_topics(servers, "access")
    client = redis_client.Redis.from_url(redis.url)
    for message in MESSAGES:
        client.xadd(f"{key}.events", {"value": message})
    client.close()
    diagnoses = examine(servers, app)
    assert not broken(diagnoses) and "8 of the last 10" in one(diagnoses, "events schema").seen
    assert one(diagnoses, "lag").seen.startswith("10 messages")


@pytest.fixture
def database(postgres, empty_database):
    """The address of an empty database, on a server with a user that may do nothing there."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN")
    return empty_database


def test_a_journal_its_tables_its_privileges_and_its_app(database, app, tmp_path):
    servers = Servers(journal=database, spool=str(tmp_path / "spool"))
    diagnoses = examine(servers, app)
    assert not broken(diagnoses) and "no tables yet" in one(diagnoses, "postgres schema").seen
    PostgresJournal(database, app="access").close()
    diagnoses = examine(servers, app)
    assert not broken(diagnoses) and "the newest" in one(diagnoses, "postgres schema").seen
    assert one(diagnoses, "postgres clock").health == one(diagnoses, "postgres connections").health == "ok"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE outcomes RENAME TO elsewhere")
        diagnosis = one(examine(servers, app), "postgres schema")
        assert diagnosis.health == "broken" and "without outcomes" in diagnosis.seen
        connection.execute("ALTER TABLE elsewhere RENAME TO outcomes")
        connection.execute("DELETE FROM homeostat_version")
        diagnosis = one(examine(servers, app), "postgres schema")
        assert diagnosis.health == "broken" and "does not say at which step" in diagnosis.seen and diagnosis.mend
        connection.execute("INSERT INTO homeostat_version VALUES (%s)", (HEAD,))
    reader = Servers(journal=database.replace("postgres@", "reader@"), spool=str(tmp_path / "spool"))
    privileges = one(examine(reader, app), "postgres privileges")
    assert privileges.health == "broken" and "GRANT" in privileges.mend
    assert "access, not of payments" in one(examine(servers, None, "payments"), "journal").seen


def test_without_an_app_the_journal_says_whose_it_is(database, kafka):
    PostgresJournal(database, app="access").close()
    servers = topics(kafka, journal=database).model_copy(update={"group": None})
    ensure_topics(servers, "access")
    diagnoses = examine(servers)
    assert "in the group access" in one(diagnoses, "workers").seen


def test_what_waits_on_this_machine_is_said(database, app, tmp_path):
    folder = tmp_path / "access" / "0"
    folder.mkdir(parents=True)
    (folder / "00000001.spool").write_bytes(bytes(200_000))
    diagnosis = one(examine(Servers(journal=database, spool=str(tmp_path)), app), "spool")
    assert diagnosis.health == "warning" and "0.2 MB" in diagnosis.seen and diagnosis.mend
