"""Announcements reach people once, whatever fails in between."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.listeners import http_inbox, smtp_inbox

from homeostat.adapters.announce.message import Message, Refused
from homeostat.adapters.announce.webhook import signature
from homeostat.adapters.disk.sqlite.incidents import SqliteIncidents
from homeostat.checks.incidents import incident, signal
from homeostat.config.announce import Channel, read_channels
from homeostat.config.faults import AppFileError
from homeostat.engine.announcing import Announcer
from homeostat.errors import MissingExtra, Unavailable
from homeostat.records.deliveries import DeliveryState, News, news_of
from homeostat.records.incidents import Phase, Severity

HOUR = 3600 * 10**9


class Clock:
    now = 1_700_000_000 * 10**9

    def now_ns(self) -> int:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteIncidents]:
    with closing(SqliteIncidents(tmp_path)) as opened:
        opened.write([signal("a")], [incident()])
        yield opened


def channels(kind: str, url: str, environ: dict[str, str] | None = None, **more: object):
    return read_channels({"desk": Channel(kind=kind, url=url, **more)}, environ or {})  # type: ignore[arg-type]


def announcer(store: SqliteIncidents, declared, clock: Clock | None = None, **more) -> Announcer:
    return Announcer(store, declared, clock or Clock(), currency="EUR", **more)


def test_a_webhook_gets_a_signed_message_once(store: SqliteIncidents) -> None:
    secret = "whsec_" + base64.b64encode(b"a secret of bytes").decode()
    with http_inbox() as inbox:
        made = channels("webhook", inbox.url + "/hook", {"HOMEOSTAT_ANNOUNCE__DESK__SECRET": secret})
        with closing(announcer(store, made)) as desk:
            assert (desk.step().sent, desk.step().sent) == (1, 0)
        with closing(announcer(store, made)) as again:
            assert again.step().sent == 0
    ((path, headers, body),) = inbox.taken
    assert path == "/hook" and headers["webhook-id"] == "i1-1-desk" == headers["idempotency-key"]
    assert headers["webhook-signature"] == signature(secret, "i1-1-desk", int(headers["webhook-timestamp"]), body)
    sent = json.loads(body)
    assert sent["type"] == "incident.opened" and sent["incident"]["id"] == "i1" and sent["signals"][0]["id"] == "a"
    (kept,) = store.deliveries()
    assert (kept.state, kept.attempts, kept.error) == (DeliveryState.SENT, 1, "")


def test_a_receiver_that_is_away_is_tried_again_with_growing_pauses(store: SqliteIncidents) -> None:
    clock = Clock()
    with http_inbox(503, 429, 200) as inbox, closing(announcer(store, channels("webhook", inbox.url), clock)) as desk:
        pauses = []
        assert desk.step().later == 1 and desk.step().later == 0
        while not inbox.taken or store.deliveries()[0].state is DeliveryState.WAITING:
            (waiting,) = store.deliveries()
            pauses.append(waiting.next_ns - clock.now)
            clock.now = waiting.next_ns
            desk.step()
    assert len(inbox.taken) == 3 and store.deliveries()[0].attempts == 3
    assert len({headers["webhook-id"] for _, headers, _ in inbox.taken}) == 1 and pauses[1] == 2 * pauses[0]


def test_a_refusal_ends_a_delivery_and_the_log_says_why_without_the_address(store: SqliteIncidents) -> None:
    with http_inbox(404) as inbox, closing(announcer(store, channels("slack", inbox.url + "/T0/B0/sEcReT"))) as desk:
        assert desk.step().failed == 1
    (kept,) = store.deliveries()
    assert "answers 404" in kept.error and "sEcReT" not in kept.error and kept.ended_ns == Clock.now


def test_a_redirect_is_not_followed(store: SqliteIncidents) -> None:
    with http_inbox(302) as inbox, closing(announcer(store, channels("webhook", inbox.url))) as desk:
        assert desk.step().failed == 1 and len(inbox.taken) == 1


def test_a_host_that_nobody_answers_at_is_given_up_after_the_last_try(store: SqliteIncidents) -> None:
    clock = Clock()
    with closing(announcer(store, channels("webhook", "http://127.0.0.1:9", tries=2), clock)) as desk:
        assert desk.step().later == 1
        clock.now = store.deliveries()[0].next_ns
        assert desk.step().failed == 1
    assert "can't be reached" in store.deliveries()[0].error


def test_slack_gets_text_that_calls_nobody(store: SqliteIncidents) -> None:
    bad = replace(incident("i2"), suspects=(replace(incident().suspects[0], node="segment:<!channel>"),))
    store.write([], [bad])
    with http_inbox() as inbox, closing(announcer(store, channels("slack", inbox.url))) as desk:
        assert desk.step().sent == 2
    assert b"<!channel>" not in json.loads(inbox.taken[1][2])["text"].encode() and "blocks" in json.loads(
        inbox.taken[0][2]
    )


def test_alertmanager_gets_an_alert_that_ends_with_the_incident(store: SqliteIncidents) -> None:
    store.write([], [replace(incident(revision=2), severity=Severity.CRITICAL)])
    store.write([], [replace(incident(revision=3, phase=Phase.CLOSED), severity=Severity.CRITICAL)])
    with http_inbox() as inbox, closing(announcer(store, channels("alertmanager", inbox.url))) as desk:
        assert desk.step().sent == 3
    assert {path for path, _, _ in inbox.taken} == {"/api/v2/alerts"}
    opened, raised, closed = [json.loads(body) for _, _, body in inbox.taken]
    assert [one["labels"]["severity"] for one in raised] == ["critical", "high"]
    assert opened[0]["labels"] == raised[1]["labels"] and raised[1]["endsAt"] < raised[0]["endsAt"]
    assert all(one["endsAt"].startswith("2023-11-14") for one in closed) and opened[0]["endsAt"] > "2024"


def test_a_letter_goes_to_everybody_on_one_thread(store: SqliteIncidents) -> None:
    login = base64.b64encode(b"\0ann\0pw").decode()
    with smtp_inbox(login=login) as post:
        environ = {"HOMEOSTAT_ANNOUNCE__DESK__USERNAME": "ann", "HOMEOSTAT_ANNOUNCE__DESK__PASSWORD": "pw"}
        made = channels("email", post.url, environ, to=["a@example.org", "b@example.org"], sender="h@example.org")
        with closing(announcer(store, made)) as desk:
            assert desk.step().sent == 1
    ((sender, to, text),) = post.letters
    assert "h@example.org" in sender and len(to) == 2 and post.logins == [login]
    assert "Message-ID: <i1-1-desk@homeostat>" in text and "References: <i1@homeostat>" in text
    assert "new incident" in text and "since 1970-01-01" in text


@pytest.mark.parametrize(("code", "state"), [(450, DeliveryState.WAITING), (550, DeliveryState.FAILED)])
def test_a_mail_server_that_refuses_for_now_is_tried_again(store: SqliteIncidents, code: int, state: str) -> None:
    with smtp_inbox(code) as post, closing(announcer(store, channels("email", post.url, to=["a@example.org"]))) as desk:
        desk.step()
    assert store.deliveries()[0].state == state and str(code) in store.deliveries()[0].error


def test_a_wrong_password_is_a_refusal_and_stays_out_of_the_log(store: SqliteIncidents) -> None:
    with smtp_inbox(login="right") as post:
        made = channels("email", post.url.replace("//", "//ann:hunter2@"), to=["a@example.org"])
        with closing(announcer(store, made)) as desk:
            assert desk.step().failed == 1
    assert "hunter2" not in store.deliveries()[0].error and "535" in store.deliveries()[0].error


@pytest.mark.long
def test_a_stream_of_redis_gets_it_as_json(store: SqliteIncidents, redis) -> None:
    import redis as client

    host = redis.url.split("//")[1].split("/")[0]
    with closing(announcer(store, channels("stream", f"redis-stream://{host}/0/incidents-test"))) as desk:
        assert desk.step().sent == 1
    with closing(client.Redis.from_url(redis.url)) as reader:
        ((_, fields),) = reader.xrange("incidents-test")
    assert fields[b"key"] == b"i1" and json.loads(fields[b"value"])["incident"]["id"] == "i1"


@pytest.mark.long
def test_a_topic_of_kafka_gets_it_as_json(store: SqliteIncidents, kafka) -> None:
    import confluent_kafka

    made = channels("stream", f"kafka://{kafka.address}/incidents-test", timeout="60s")
    with closing(announcer(store, made)) as desk:
        assert desk.step().sent == 1
    reader = confluent_kafka.Consumer(
        {"bootstrap.servers": kafka.address, "group.id": "t", "auto.offset.reset": "earliest",
         "isolation.level": "read_committed"}
    )  # fmt: skip
    there = reader.list_topics("incidents-test", 30.0).topics["incidents-test"].partitions
    reader.assign([confluent_kafka.TopicPartition("incidents-test", one, 0) for one in there])
    found = reader.poll(60.0)
    assert found is not None and found.error() is None
    reader.close()
    assert found.key() == b"i1" and json.loads(found.value())["type"] == "incident.opened"


class Broken:
    """A channel that fails, or dies as a killed process does."""

    def __init__(self, error: BaseException | None) -> None:
        self.error, self.keys = error, list[str]()

    def send(self, message: Message, now_ns: int) -> None:
        self.keys.append(message.delivery.key)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        pass


def test_a_process_that_dies_while_it_sends_sends_again_under_the_same_key(store: SqliteIncidents) -> None:
    clock, dying, sound = Clock(), Broken(KeyboardInterrupt()), Broken(None)
    made = channels("webhook", "http://127.0.0.1:9")
    with pytest.raises(KeyboardInterrupt):
        announcer(store, made, clock, opens=lambda _: dying).step()
    second = announcer(store, made, clock, opens=lambda _: sound)
    assert second.step().sent == 0  # The lease of the first one holds on.
    clock.now = store.deliveries()[0].next_ns
    assert second.step().sent == 1 and sound.keys == dying.keys == ["i1-1-desk"]


def test_a_channel_whose_extra_is_missing_fails_with_the_command_that_installs_it(store: SqliteIncidents) -> None:
    made = channels("webhook", "http://127.0.0.1:9")
    error = MissingExtra("kafka needs confluent_kafka: pip install 'homeostat[kafka]'")
    assert announcer(store, made, opens=lambda _: Broken(error)).step().failed == 1
    assert "pip install" in store.deliveries()[0].error


def test_two_at_once_send_each_delivery_once(store: SqliteIncidents) -> None:
    store.write([], [incident(f"more{number}") for number in range(20)])
    sound, made = Broken(None), channels("webhook", "http://127.0.0.1:9")
    one, other = (announcer(store, made, opens=lambda _: sound) for _ in range(2))
    assert one.step().sent + other.step().sent == 21 and len(set(sound.keys)) == 21


def test_a_channel_hears_only_of_what_is_severe_enough(store: SqliteIncidents) -> None:
    sound, made = Broken(None), channels("webhook", "http://127.0.0.1:9", severity="critical")
    store.write([], [replace(incident("worse"), severity=Severity.MEDIUM)])
    desk = announcer(store, made, opens=lambda _: sound)
    assert desk.step().planned == 0
    store.write([], [replace(incident("worse", 2), severity=Severity.CRITICAL)])
    store.write([], [replace(incident("worse", 3, Phase.CLOSED), severity=Severity.LOW)])
    assert desk.step().sent == 2 and sound.keys == ["worse-2-desk", "worse-3-desk"]


def test_what_a_person_does_is_announced_too_and_a_channel_that_is_gone_ends_its_deliveries(
    store: SqliteIncidents,
) -> None:
    sound, made = Broken(Unavailable("away")), channels("webhook", "http://127.0.0.1:9")
    announcer(store, made, opens=lambda _: sound).step()
    store.write([], [incident(revision=2, phase=Phase.CLOSED)], "ann")
    clock = Clock()
    clock.now += 10**12
    gone = announcer(store, channels("webhook", "http://127.0.0.1:9"), clock, opens=lambda _: Broken(Refused("no")))
    assert gone.step().failed == 2
    assert [one.news for one in store.deliveries()] == [News.CLOSED, News.OPENED]


def test_silence_hides_and_its_end_announces() -> None:
    one = incident()
    hushed = replace(one, silenced_until_ns=one.updated_ns + HOUR)
    later = replace(one, revision=2, updated_ns=one.updated_ns + 2 * HOUR, silenced_until_ns=hushed.silenced_until_ns)
    assert news_of(None, one) is News.OPENED and news_of(None, hushed) is None
    assert news_of(hushed, later) is News.OPENED and news_of(one, replace(hushed, revision=2)) is None
    assert news_of(hushed, replace(later, phase=Phase.CLOSED)) is None
    assert news_of(one, replace(one, phase=Phase.CLOSED)) is News.CLOSED
    assert news_of(replace(one, phase=Phase.CLOSED), replace(one, reopened=1)) is News.REOPENED
    assert news_of(one, replace(one, severity=Severity.CRITICAL)) is News.RAISED
    assert news_of(one, replace(one, severity=Severity.LOW)) is None


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ({"kind": "webhook"}, "HOMEOSTAT_ANNOUNCE__DESK__URL"),
        ({"kind": "slack", "url": "ftp://x/sEcReT"}, "begins with http:// or https://"),
        ({"kind": "email", "url": "smtp://x"}, "needs somebody"),
        ({"kind": "email", "url": "smtp://x", "to": ["a@b\nBcc: c@d"]}, "list of addresses"),
        ({"kind": "stream", "url": "http://x"}, "kafka://"),
        ({"kind": "webhook", "url": "http://x:port"}, "can't be read"),
    ],
)
def test_a_channel_that_cannot_work_is_refused_with_its_name_and_no_secret(declared, fault: str) -> None:
    with pytest.raises(AppFileError, match=fault) as raised:
        read_channels({"desk": Channel(**declared)}, {})
    assert "maintain.announce.desk" in str(raised.value) and "sEcReT" not in str(raised.value)


@settings(max_examples=30)
@given(st.text(max_size=80), st.binary(max_size=80))
def test_any_secret_and_body_can_be_signed(secret: str, body: bytes) -> None:
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    assert signature(secret, "k", 1, body).startswith("v1,") and signature("other" + secret, "k", 1, body) != ""
