"""Predictions go out: to real servers, through their absence and kills, in order, bounded, and explained."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack, closing, contextmanager

import numpy as np
import pytest
from tests.support.job_programs import until
from tests.support.listeners import http_inbox
from tests.support.predicting_app import START_S, app_file, ask_influx, decide, source_of

from homeostat.adapters.announce.webhook import signature
from homeostat.adapters.disk.prediction_progress import Progress, load_progress, save_progress
from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.predictions.opening import open_target
from homeostat.adapters.servers.circuit import Backoff, Pauses
from homeostat.checks.servers import influx_server
from homeostat.cli import main
from homeostat.config.predictions import Target, read_targets
from homeostat.config.servers import KafkaSettings
from homeostat.decide.explanation import shares
from homeostat.engine.assembly import open_engine, prepare
from homeostat.engine.predicting import PredictionsKeeper, of_predictions
from homeostat.errors import DataFolderInUse, Unavailable
from homeostat.jobs.predicting.following import Following, follow
from homeostat.jobs.predicting.making import predictions_of
from homeostat.jobs.predicting.running import Running

DAY_NS = 86_400 * 10**9


class Clock:
    """A clock that is moved by hand, from the time of the machine."""

    def __init__(self):
        self.ns = time.time_ns()

    def now_ns(self):
        return self.ns

    def monotonic_ns(self):
        return self.ns


@pytest.fixture
def opened():
    with ExitStack() as stack:
        yield stack


def following(app, data, opened, environ={}, clock=None):
    """The one target of an app, which waits for nothing after a failure."""
    source = source_of(app, data, opened, clock)
    (settings,) = read_targets(source.app.predictions, environ)
    target = open_target(settings, KafkaSettings())
    return Following(source, settings, target, Pauses(Backoff(0.0, 0.0)))


def to_the_end(one):
    """Send all that there is."""
    follow(one, lambda pause_s: False, lambda text: None, once=True)
    return one.progress


def ids_at(influx, database):
    return sorted(row[1] for row in ask_influx(influx.url, database, "SELECT event_id FROM ai_predictions"))


def test_influxdb_gets_every_decision_with_entity_flag_latency_and_contributions(tmp_path, influx, opened):
    ask_influx(influx.url, "all", "CREATE DATABASE all_of_them")
    app = app_file(tmp_path, f"{{store: {{kind: influxdb, url: '{influx.url}', database: all_of_them}}}}")
    decide(app, tmp_path / "data", range(40), range(40, 700), range(700, 701))
    progress = to_the_end(following(app, tmp_path / "data", opened))
    assert (progress.sent, progress.skipped, progress.refused, progress.behind) == (701, 0, 0, 0)
    assert ids_at(influx, "all_of_them") == sorted(f"e{k}" for k in range(701))
    query = """SELECT score, flag, latency_us, host, "contribution.cpu" FROM ai_predictions WHERE event_id = 'e9'"""
    ((time_ns, score, flag, latency_us, host, moved),) = ask_influx(influx.url, "all_of_them", query)
    assert time_ns == (START_S + 90) * 10**9 and score > 0.5 and flag is True and latency_us > 0 and host == "h0"
    assert moved == pytest.approx(np.log(score / (1 - score)), rel=1e-6)  # All of it: only this moved it.


def test_a_second_run_sends_what_is_new_and_a_point_that_comes_twice_is_one(tmp_path, influx, opened):
    ask_influx(influx.url, "twice", "CREATE DATABASE twice")
    app = app_file(tmp_path, f"{{store: {{kind: influxdb, url: '{influx.url}', database: twice}}}}")
    decide(app, tmp_path / "data", range(30))
    assert to_the_end(following(app, tmp_path / "data", opened)).sent == 30
    decide(app, tmp_path / "data", range(30, 50))
    assert to_the_end(following(app, tmp_path / "data", opened)).sent == 50
    (tmp_path / "data" / "predictions" / "store.json").unlink()  # As if the last progress had not reached the disk.
    assert to_the_end(following(app, tmp_path / "data", opened)).sent == 50
    assert ids_at(influx, "twice") == sorted(f"e{k}" for k in range(50))


@contextmanager
def sending(app, data, owner="tester"):
    """All targets of an app, in a thread."""
    prepared = prepare(app)

    def open_journal():
        return SqliteJournal(data / "journal.db", app=prepared.app.app, words=prepared.words, readonly=True)

    said = []
    running = Running(prepared, open_journal, lambda: None, data, owner, KafkaSettings(), said.append)
    thread = threading.Thread(target=running.run, args=(read_targets(prepared.app.predictions, {}), False))
    thread.start()
    try:
        yield said
    finally:
        running.stop()
        thread.join()


def test_nothing_is_lost_when_sender_and_store_are_killed_in_mid_stream(tmp_path, own_server):
    store, data = own_server(influx_server), tmp_path / "data"
    ask_influx(store.url, "killed", "CREATE DATABASE killed")
    app = app_file(tmp_path, f"{{store: {{kind: influxdb, url: '{store.url}', database: killed}}}}")
    decide(app, data, *(range(k, k + 400) for k in range(0, 6_000, 400)))
    command = [sys.executable, "-m", "homeostat", "predictions", str(app), "--data", str(data)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until(lambda: (found := load_progress(data).get("store")) is not None and found.sent > 500)
    process.kill()
    process.wait(60)
    store.kill()
    assert 500 < load_progress(data)["store"].sent < 6_000
    with sending(app, data):
        until(lambda: "can't be reached" in load_progress(data)["store"].trouble)
        decide(app, data, range(6_000, 6_100))  # Deciding goes on meanwhile.
        store.start()
        until(lambda: load_progress(data)["store"].entry == 16)
    assert ids_at(store, "killed") == sorted(f"e{k}" for k in range(6_100))


def test_decisions_older_than_the_bound_are_skipped_and_counted(tmp_path, opened):
    with http_inbox(503) as inbox:
        app = app_file(tmp_path, f"{{hook: {{kind: webhook, url: '{inbox.url}', send: all, keep: 1d}}}}")
        clock = Clock()
        decide(app, tmp_path / "data", range(5), range(5, 7))
        one = following(app, tmp_path / "data", opened, clock=clock)
        with pytest.raises(Unavailable, match="503"):
            to_the_end(one)
        assert one.progress.behind == 2 and one.progress.sent == 0
        clock.ns += 2 * DAY_NS
        inbox.answers[:] = [200]
        assert to_the_end(one).skipped == 7 and one.progress.sent == 0


def test_a_new_target_begins_with_decisions_that_are_not_too_old(tmp_path, opened):
    with http_inbox() as inbox:
        app = app_file(tmp_path, f"{{hook: {{kind: webhook, url: '{inbox.url}', send: all, keep: 1d}}}}")
        decide(app, tmp_path / "data", range(5))
        clock = Clock()
        clock.ns += 2 * DAY_NS
        progress = to_the_end(following(app, tmp_path / "data", opened, clock=clock))
        assert (progress.sent, progress.skipped, progress.entry) == (0, 0, 1) and not inbox.taken


@pytest.mark.parametrize(("code", "waits"), [(400, False), (422, False), (401, True), (404, True), (302, True)])
def test_only_what_is_refused_for_good_is_given_up_and_counted(tmp_path, opened, code, waits):
    with http_inbox(code) as inbox:
        app = app_file(tmp_path, f"{{store: {{kind: influxdb, url: '{inbox.url}', bucket: b, org: o}}}}")
        decide(app, tmp_path / "data", range(5))
        one = following(app, tmp_path / "data", opened, {"HOMEOSTAT_PREDICTIONS__STORE__TOKEN": "such"})
        one.turn()
        path, headers, _ = inbox.taken[0]
        assert path == "/api/v2/write?bucket=b&precision=ns&org=o" and headers["authorization"] == "Token such"
        assert one.progress.refused == (0 if waits else 5) and one.progress.entry == (0 if waits else 1)
        assert str(code) in one.progress.trouble and "such" not in one.progress.trouble


def test_a_webhook_gets_flagged_decisions_signed_and_with_the_same_id_at_each_try(tmp_path, opened):
    with http_inbox(503, 200) as inbox:
        app = app_file(tmp_path, f"{{hook: {{kind: webhook, url: '{inbox.url}'}}}}")
        decide(app, tmp_path / "data", range(20))
        one = following(app, tmp_path / "data", opened, {"HOMEOSTAT_PREDICTIONS__HOOK__SECRET": "secret"})
        one.turn()
        to_the_end(one)
    (_, first, _), (_, second, body) = inbox.taken
    assert first["webhook-id"] == second["webhook-id"]
    made = signature("secret", second["webhook-id"], int(second["webhook-timestamp"]), body)
    assert second["webhook-signature"] == made
    found = json.loads(body)["predictions"]
    assert [one["event_id"] for one in found] == ["e9", "e19"] and all(one["flag"] for one in found)
    assert found[0]["entity"] == {"host": "h0"} and found[0]["action"] == "alert"


def test_a_redis_stream_gets_predictions_in_order(tmp_path, opened, redis):
    from redis import Redis

    address = redis.url.replace("redis://", "redis-stream://") + "/predicted"
    app = app_file(tmp_path, f"{{bus: {{kind: stream, url: '{address}', flag: [normal, alert], contributions: 0}}}}")
    decide(app, tmp_path / "data", range(12))
    one = following(app, tmp_path / "data", opened)
    opened.callback(one.close)
    assert to_the_end(one).sent == 12
    with Redis.from_url(redis.url) as client:
        values = [next(v for v in fields.values() if v.startswith(b"{")) for _, fields in client.xrange("predicted")]
    found = [json.loads(value) for value in values]
    assert [one["event_id"] for one in found] == [f"e{k}" for k in range(12)]
    assert all(one["flag"] and not one["contributions"] for one in found)


def test_a_kafka_topic_gets_predictions_under_the_key_of_their_entity(tmp_path, opened, kafka):
    from confluent_kafka import Consumer

    address = f"kafka://{kafka.address}/predicted"
    app = app_file(tmp_path, f"{{bus: {{kind: stream, url: '{address}', send: flagged}}}}")
    decide(app, tmp_path / "data", range(30))
    one = following(app, tmp_path / "data", opened)
    opened.callback(one.close)
    assert to_the_end(one).sent == 3
    settings = {"bootstrap.servers": kafka.address, "group.id": "readers", "auto.offset.reset": "earliest"}
    with closing(Consumer(settings)) as consumer:
        consumer.subscribe(["predicted"])
        came = []
        until(lambda: came.extend(m for m in consumer.consume(10, 0.2) if m.error() is None) or len(came) == 3)
    found = {json.loads(message.value())["event_id"]: message.key() for message in came}
    assert found == {"e9": b"h0", "e19": b"h1", "e29": b"h2"}


def test_prometheus_gets_scores_by_remote_write(tmp_path, opened, prometheus_store):
    app = app_file(tmp_path, f"{{store: {{kind: prometheus, url: '{prometheus_store.url}/api/v1/write'}}}}")
    now_s = int(time.time()) - 100
    decide(app, tmp_path / "data", range(10), start_s=now_s)
    one = following(app, tmp_path / "data", opened)
    to_the_end(one)
    assert one.progress.sent == 10, one.progress
    asked = urllib.parse.urlencode({"query": "ai_predictions_score[5m]", "time": now_s + 100})
    with urllib.request.urlopen(f"{prometheus_store.url}/api/v1/query?{asked}", timeout=60) as reply:
        series = json.load(reply)["data"]["result"]
    values = {(one["metric"]["host"], t): float(v) for one in series for t, v in one["values"]}
    assert values[("h0", now_s + 90)] > 0.5 and len(values) == 10
    assert {one["metric"]["app"] for one in series} == {"hosts"}


def alerts_of(alertmanager):
    with urllib.request.urlopen(f"{alertmanager.url}/api/v2/alerts?filter=app%3Dhosts", timeout=60) as reply:
        return json.load(reply)


def test_alertmanager_has_one_alert_a_host_which_is_resolved_when_that_is_quiet(tmp_path, opened, alertmanager):
    app = app_file(tmp_path, f"{{alarms: {{kind: alertmanager, url: '{alertmanager.url}', quiet: 1m}}}}")
    data, now_s = tmp_path / "data", int(time.time()) - 590
    decide(app, data, range(60), start_s=now_s)  # The last flagged ones of h0, h1, h2 are events 39, 49, 59.
    one = following(app, data, opened)
    to_the_end(one)
    (alert,) = alerts_of(alertmanager)  # Those of other hosts are over.
    assert alert["labels"] == {"alertname": "HomeostatAnomaly", "app": "hosts", "host": "h2"}
    assert alert["status"]["state"] == "active" and "raised by cpu" in alert["annotations"]["summary"]
    decide(app, data, range(60, 61), start_s=now_s + 29 - 30)
    to_the_end(one)
    assert [a["fingerprint"] for a in alerts_of(alertmanager)] == [alert["fingerprint"]]
    ends = time.mktime(time.strptime(alert["endsAt"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert ends == now_s + 590 + 60


def test_one_that_is_away_holds_up_no_other_and_one_process_sends_at_a_time(tmp_path, influx):
    ask_influx(influx.url, "beside", "CREATE DATABASE beside")
    with http_inbox(503) as inbox:
        app = app_file(
            tmp_path,
            f"{{away: {{kind: webhook, url: '{inbox.url}'}},"
            f" store: {{kind: influxdb, url: '{influx.url}', database: beside}}}}",
        )
        data = tmp_path / "data"
        decide(app, data, range(20))
        with sending(app, data, "first") as said:
            until(lambda: len(load_progress(data)) == 2 and load_progress(data)["store"].sent == 20)
            until(lambda: load_progress(data)["away"].trouble != "" and said)
            with pytest.raises(DataFolderInUse, match="another process sends"):
                Running(prepare(app), None, None, data, "second", KafkaSettings(), print).run([], True)
    assert said[0].startswith("predictions to away: webhook away at 127.0.0.1 answers 503") and inbox.url not in said[0]
    assert {one.owner for one in load_progress(data).values()} == {"first"}


def test_contributions_by_feature_are_those_of_the_explanation(tmp_path, opened):
    data, at = tmp_path / "data", {"entity_id": "7", "event_type": "action", "value": 1}
    with open_engine("access", data=data, audit=False) as engine:
        engine.decide([{"event_id": str(k), "timestamp": START_S + k % 5, **at} for k in range(20)])
        explained = engine.decision("19", explain=True)["explanation"]
    source = source_of("access", data, opened)
    (entry,) = source.journal.read(0)
    target = Target(kind="influxdb")
    *_, last = predictions_of(entry.body, slice(0, 20), source.app, target, source.models)
    shown = {one["name"]: one["contribution"] for one in explained["features"]}
    assert last.event_id == "19" and len(shown) > 0
    assert dict(last.contributions) == pytest.approx(shown, abs=1e-6)
    features, scorers = shares(source.models.of(entry.body.version), entry.body)
    parts = np.abs(entry.body.fused.contributions).sum(axis=1)  # The app has one scorer, so that no parts cancel.
    assert np.abs(features).sum(axis=1) + np.abs(scorers).sum(axis=1) == pytest.approx(parts, rel=1e-9)


def test_a_server_keeps_the_process_and_shows_figures_and_trouble_of_each_target(tmp_path):
    data, started = tmp_path / "data", []
    data.mkdir()

    class Process:
        def ended(self):
            return None

        def starved_s(self):
            return 0.0

        def last_line(self):
            return ""

        kill = stop = lambda self: started.append("ended")

    keeper = PredictionsKeeper(
        ("hosts.yaml",), ["store", "hook"], data, "me", start=lambda: started.append("begun") or Process()
    )
    keeper.turn()
    assert started == ["begun"] and not keeper.notes()
    save_progress(
        data, "store", Progress(4, 0, sent=9, skipped=2, refused=1, behind=3, owner="me", trouble="it is away")
    )
    save_progress(data, "former", Progress(4, 0, sent=9, trouble="no target of this name is left"))
    keeper.turn()
    assert keeper.notes() == ["predictions to store: it is away"]
    assert keeper.readings() == {
        f"homeostat_predictions_{name}": {"store": value}
        for name, value in {"up": False, "sent_total": 9, "skipped_total": 2, "refused_total": 1,
                            "behind_entries": 3}.items()
    }  # fmt: skip
    for age_ns, up in ((0, True), (10 * 60 * 10**9, False)):  # A process that is gone takes nothing either.
        save_progress(data, "store", Progress(owner="me", at_ns=time.time_ns() - age_ns))
        keeper.turn()
        assert keeper.readings()["homeostat_predictions_up"] == {"store": up}
    save_progress(
        data, "store", Progress(4, 0, sent=9, skipped=2, refused=1, behind=3, owner="me", trouble="it is away")
    )
    keeper.close()
    assert started == ["begun", "ended"]
    found = load_progress(data)
    seen = {one.what: (one.health, one.seen) for one in of_predictions(["store", "hook"], found, time.time_ns())}
    assert (
        seen["predictions to store"][0] == "warning" and "3 entries wait; it is away" in seen["predictions to store"][1]
    )
    assert seen["predictions to hook"] == ("warning", "nothing was ever sent")
    save_progress(data, "store", Progress(4, 0, sent=9, at_ns=time.time_ns()))
    (one,) = of_predictions(["store"], load_progress(data), time.time_ns())
    assert one.health == "ok"


def test_the_command_says_what_it_sent_and_what_is_missing(tmp_path, capsys):
    with http_inbox() as inbox:
        app = app_file(tmp_path, f"{{hook: {{kind: webhook, url: '{inbox.url}'}}}}")
        decide(app, tmp_path / "data", range(20))
        with pytest.raises(SystemExit, match="0"):
            main(["predictions", str(app), "--data", str(tmp_path / "data"), "--once", "--json"])
        assert json.loads(capsys.readouterr().out)["hook"] == {
            "sent": 2, "skipped": 0, "refused": 0, "behind": 0, "trouble": ""
        }  # fmt: skip
    for given, why in ((("access", "--data", tmp_path / "data"), "names no target"), ((app,), "which journal"),
                       ((app, "--data", tmp_path), "holds no journal")):  # fmt: skip
        with pytest.raises(SystemExit, match="1"):
            main(["predictions", *map(str, given), "--once"])
        assert why in capsys.readouterr().err
