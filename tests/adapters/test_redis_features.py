"""The feature store on real servers: what it must do, and what happens when they fail."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import redis as client_of_redis
from redis.cluster import RedisCluster as ClusterClient
from trials.corruption.redis_keys import Journal, batch, decided, plan

from homeostat.adapters.redis.features import RedisFeatures, expiry_s, shown_url
from homeostat.adapters.redis.wire import RedisMissing, packed
from homeostat.checks.feature_store import FEATURE_STORE_CHECKS, asked, event, read_all, shown
from homeostat.checks.servers import redis_server
from homeostat.decide.windows.features import FeatureSpec, WindowGroup, plan_features
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.decide.windows.shared import SharedFeaturizer
from homeostat.engine.shared.rejoining import rejoin
from homeostat.expressions import Type
from homeostat.ports import Unavailable
from homeostat.ports.shared import LogsLost
from homeostat.records.events import EventBatch
from homeostat.records.reasons import Fallback

pytestmark = pytest.mark.long  # Seconds: `make quick` leaves it out.


@pytest.fixture
def versions(request):
    return f"t{abs(hash(request.node.nodeid)) % 10**8}"


@pytest.mark.parametrize("check", FEATURE_STORE_CHECKS, ids=lambda check: check.__name__)
def test_the_store_on_redis_conforms(check, redis, versions):
    check(lambda: RedisFeatures(redis.url, versions))


@pytest.mark.parametrize("check", FEATURE_STORE_CHECKS, ids=lambda check: check.__name__)
def test_the_store_on_a_cluster_conforms(check, redis_cluster, versions):
    check(lambda: RedisFeatures(redis_cluster.url, versions))


@contextmanager
def opened(url, version="v", **how):
    store = RedisFeatures(url, version, **how)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def clients(server):
    with client_of_redis.Redis(port=server.port) as client:
        yield client


def many(count, tag=1, time=1):
    return {str(k): [event(time, tag)] for k in range(count)}


def test_a_batch_is_one_round_trip_and_showing_adds_none(redis, versions):
    with opened(redis.url, versions, show_every_s=0.0) as store, clients(redis) as client:
        store.exchange([asked(many(1))])  # Connects, and lets the server know the scripts.
        before = store.round_trips, client.info("stats")["total_reads_processed"]
        for tag in range(2, 12):
            store.show([shown([str(k) for k in range(60)], [1] * 60, [1.0] * 60)])
            store.exchange([asked(many(60, tag)), asked(many(60, tag), entity="terminal")], through=tag)
        assert store.round_trips - before[0] == 10
        reads = client.info("stats")["total_reads_processed"] - before[1]
        assert reads <= 10 + 2  # Each batch fits into one packet here; the two are this client's own.
        assert client.exists("features:customer:3")


def test_what_is_shown_is_a_hash_of_current_values_with_watermark_and_freshness(redis, versions):
    with opened(redis.url, versions) as store, clients(redis) as client:
        names = ["101", "102"]
        store.show([shown(names, [7, 7], [2.5, float("nan")])])
        store.show([shown(["101"], [6], [1.0])])  # A waiting value is replaced: it was given later by the same worker.
        store.flush()
        with opened(redis.url, versions) as other:
            other.show([shown(["102"], [5], [9.0])])
            other.flush()
        found = client.hgetall("features:customer:102")
        assert found[b"amount"] == b"nan" and found[b"freshness"] == b"fresh"
        assert found[b"watermark"] == b"2017-07-14T02:40:00Z"
        assert client.ttl("features:customer:102") > 80_000
        assert client.hget("features:customer:101", "amount") == b"1"


def test_the_values_of_many_entities_wait_in_bounded_memory(redis, versions):
    with opened(redis.url, versions, show_every_s=1e9) as store, clients(redis) as client:
        for first in range(0, 4_000, 4):  # As of batches that are much larger than what waits of them.
            one = shown([str(first + k) for k in range(4)], [1] * 4, [float(first)] * 4)
            large = np.zeros((1_000, 1))
            large[:4] = one.values
            fresh = np.zeros((1_000, 1), np.uint8)
            store.show([replace(one, values=large, freshness=fresh, time_ns=np.zeros(1_000, np.int64))])
        store.flush()
        assert client.hget("features:customer:3999", "amount") == b"3996"
        assert client.hget("features:customer:0", "amount") == b"0"


def test_an_entitys_log_and_hash_share_a_slot(redis_cluster, versions):
    with ClusterClient(host="127.0.0.1", port=redis_cluster.port) as client:
        for one in ("123", "-7", "99999999999"):
            log, hashed = f"log:{versions}:{{features:customer:{one}}}", f"features:customer:{one}"
            assert client.cluster_keyslot(log) == client.cluster_keyslot(hashed)
        with opened(redis_cluster.url, versions) as store:
            store.exchange([asked({"123": [event(1, 1)]})])
            store.show([shown(["123"], [1], [1.0])])
        assert client.exists(f"log:{versions}:{{features:customer:123}}") == 1
        assert client.hget("features:customer:123", "amount") == b"1"


def test_logs_expire_when_nobody_writes_them(redis, versions):
    with opened(redis.url, versions) as store, clients(redis) as client:
        store.exchange([asked(many(1), retained_ns=3_600 * 10**9)])
        key = f"log:{versions}:{{features:customer:0}}"
        assert 86_000 < client.ttl(key) <= expiry_s(3_600 * 10**9) == 3_600 + 86_400
        client.expire(key, 5)
        client.setrange(key, 8, bytes(8))  # As if its expiry had been set long ago.
        store.exchange([asked(many(1, 2), retained_ns=3_600 * 10**9)])
        assert client.ttl(key) > 80_000
    assert expiry_s(30 * 86_400 * 10**9) == 37 * 86_400


def test_a_log_that_expired_and_was_begun_again_is_not_taken_for_the_one_that_was_known(redis, versions):
    with opened(redis.url, versions) as store, clients(redis) as client:
        (first,) = store.exchange([asked(many(1))])
        client.delete(f"log:{versions}:{{features:customer:0}}")
        store.exchange([asked({"0": [event(2, 2), event(3, 3)]})])
        known = int(first.start[0]) + 1
        (again,) = store.exchange([asked({"0": []}, {"0": known})])
        assert int(again.start[0]) > known


def test_a_restart_with_persistence_loses_nothing(own_server):
    server = own_server(redis_server, persistence=True, options=("--appendfsync", "always"))
    with opened(server.url) as store:
        store.begin(3)
        (found,) = store.exchange([asked(many(300))], through=4)
        server.kill()
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
            store.exchange([asked(many(1, 2))])
        server.start()
        with pytest.raises(LogsLost, match="restarted"):
            store.exchange([asked(many(1, 2))])
        assert store.through() == 4
        known = {str(k): int(found.start[k]) + 1 for k in range(300)}
        (again,) = store.exchange([asked(many(300, 2), known)], through=5)
        assert again.start.tolist() == list(known.values()) and not again.unread
        assert store.through() == 5


def test_a_log_that_lost_rows_and_was_given_as_many_others_is_not_taken_for_the_one_that_was_known(own_server):
    """With the append-only file synced each second, a server that is killed loses rows that it has answered."""
    server = own_server(redis_server, persistence=True, options=("--appendfsync", "always"))
    with opened(server.url) as store, clients(server) as client:
        store.begin(3)
        assert store.through() == 3
        key = "log:v:{features:customer:a}"
        (found,) = store.exchange([asked({"a": [event(1, 1)]})], through=3)
        safe = client.get(key)
        store.exchange([asked({"a": [event(2, 2), event(3, 3)]}, {"a": int(found.start[0]) + 1})], through=3)
        client.set(key, safe)
        server.kill()
        server.start()
    with opened(server.url) as other:
        other.exchange([asked({"a": [event(4, 4), event(5, 5)]})])
        with pytest.raises(LogsLost, match="restarted"):
            store.exchange([asked({"a": []}, {"a": int(found.start[0]) + 3})], through=3)
        store.close()


def test_while_another_worker_writes_back_what_a_killed_server_lost_decisions_are_flagged(own_server):
    """That worker's last batch is lost with the server, and not in the journal yet."""
    server = own_server(redis_server, persistence=True, options=("--appendfsync", "always"))
    planned, journal, chance = plan(), Journal(), np.random.default_rng(5)
    truth, batches = WindowFeaturizer(planned), [batch(chance, 1 + 6 * at, at) for at in range(6)]
    with opened(server.url, process="one") as store, opened(server.url, process="other") as others:
        one, other = (SharedFeaturizer(planned, kept, ("customer", "terminal")) for kept in (store, others))
        for worker in (one, other):
            rejoin(worker, worker.store, journal)

        def decide(worker, at):
            found = worker.features(batches[at])
            journal.bodies.append(decided(batches[at], found))
            worker.journalled(journal.last)
            return found

        decide(one, 0)
        decide(other, 1)
        with clients(server) as client:
            safe = {key: client.dump(key) for key in client.keys("log:*")}
            flying = other.features(batches[2])
            for key in client.keys("log:*"):
                client.restore(key, 0, safe[key], replace=True) if key in safe else client.delete(key)
        server.kill()
        server.start()
        assert decide(one, 3).fallback and one.behind
        rejoin(one, one.store, journal)
        assert decide(one, 4).fallback == Fallback.FEATURES_STALE and one.incomplete and not one.behind
        journal.bodies.append(decided(batches[2], flying))
        other.journalled(journal.last)
        other.touch()
        assert other.behind
        rejoin(other, other.store, journal, other.through)
        other.touch()
        for events in batches[:5]:
            truth.features(events)
        found, expected = decide(one, 5), truth.features(batches[5])
        assert not found.fallback and np.array_equal(found.values, expected.values, equal_nan=True)
        assert not one.incomplete and not other.incomplete


def test_a_connection_that_breaks_off_is_made_again_without_a_flag(redis, versions):
    with opened(redis.url, versions) as store, clients(redis) as client:
        store.begin(3)
        assert store.through() == 3
        store.exchange([asked(many(1))])
        for one in client.client_list(_type="normal"):
            if one["id"] != str(client.client_id()):
                client.client_kill_filter(_id=one["id"])
        store.exchange([asked(many(1, 2))])
        assert read_all(store, "0") == [event(1, 1), event(1, 2)]


def test_without_the_right_to_ask_for_it_each_new_connection_may_be_to_a_restarted_server(own_server):
    server = own_server(redis_server)
    with clients(server) as client:
        client.acl_setuser("mute", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-info"])
        with opened(f"redis://mute:pw@{server.address}/0") as store:
            store.begin(3)
            assert store.through() == 3
            store.exchange([asked(many(1))])
            client.client_kill_filter(user="mute")
            with pytest.raises(LogsLost, match="restarted"):
                store.exchange([asked(many(1, 2))])
            assert store.through() == 3
            store.exchange([asked(many(1, 2))])


def test_a_restart_without_persistence_is_noticed_by_who_knew_and_by_who_did_not(own_server):
    server = own_server(redis_server)
    with opened(server.url) as store, opened(server.url) as other:
        store.begin(3)
        assert other.through() == 3
        store.exchange([asked(many(5))])
        server.restart()
        for one in (store, other):
            with pytest.raises(LogsLost):
                one.exchange([asked(many(1, 9))])
            assert one.through() is None


def test_a_server_that_hangs_is_given_up_and_gone_on_with(own_server):
    server = own_server(redis_server)
    with opened(server.url) as store:
        store.exchange([asked({"a": [event(1, 1)]})])
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable, match=r"Timeout"):
                store.exchange([asked({"a": [event(2, 2)]})])
        finally:
            os.kill(server.pid, signal.SIGCONT)
        store.exchange([asked({"a": [event(2, 2), event(3, 3)]})])  # It may have come through after all.
        assert read_all(store, "a") == [event(1, 1), event(2, 2), event(3, 3)]


def test_refusals_are_worded_without_the_password(own_server):
    server = own_server(redis_server, options=("--requirepass", "hunter2"))
    host = f"127.0.0.1:{server.port}"
    for url, why in (
        (f"redis://:wrong-secret@{host}/0", "password"), (f"redis://{host}/0", "authenticated|NOAUTH"),
        (f"redis://:hunter2@{host}/99", "DB index"), ("redis://:hunter2@127.0.0.1:1/0", "refused"),
        (f"redis+cluster://:hunter2@{host}", "luster"),
    ):  # fmt: skip
        with opened(url) as store, pytest.raises(Unavailable, match=why) as raised:
            store.exchange([asked(many(1))])
        assert (
            "hunter2" not in str(raised.value)
            and "wrong-secret" not in str(raised.value)
            and host[:9] in str(raised.value)
        )
        assert "hunter2" not in repr(store)


def test_a_replica_and_a_full_memory_refuse_with_a_reason_and_doctor_says_how_to_mend_it(own_server):
    server = own_server(redis_server, options=("--maxmemory", "3mb", "--maxmemory-policy", "noeviction"))
    with opened(server.url) as store, clients(server) as client:
        full = {str(k): [event(1, tag) for tag in range(2000)] for k in range(100)}
        with pytest.raises(Unavailable, match="maxmemory"):
            store.exchange([asked({one: full[one]}) for one in full])
        assert any("full" in finding for finding in store.about().findings)
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert any("noeviction" in finding for finding in store.about().findings)
        client.config_set("maxmemory", "0")
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(Unavailable, match="read only"):
            store.exchange([asked(many(1, 5000))])
        assert any("replica" in finding for finding in store.about().findings)


def test_about_says_what_the_server_is(own_server, redis_cluster):
    server = own_server(redis_server, persistence=True)
    with opened(server.url) as store:
        about = store.about()
        assert about.kind in ("redis", "valkey") and about.version[0].isdigit() and about.findings == []
        assert about.persistence == "append-only file" and about.nodes == 1 and abs(about.skew_s) < 1
    with clients(server) as client:
        client.acl_setuser(
            "weak",
            enabled=True,
            passwords=["+pw"],
            keys=["*"],
            commands=["+get", "+info", "+acl|whoami", "+acl|dryrun"],
        )
    with opened(f"redis://weak:pw@{server.address}/0") as store:
        assert any("evalsha" in finding for finding in store.about().findings)
        with pytest.raises(Unavailable, match="permissions"):
            store.exchange([asked(many(1))])
    with opened(redis_cluster.url) as store:
        about = store.about()
        assert about.cluster == "ok" and about.nodes == 3 and about.findings == []


def test_slots_may_move_while_they_are_used(redis_cluster, versions):
    ports = [node.port for node in redis_cluster.nodes]
    with ClusterClient(host="127.0.0.1", port=ports[0]) as cluster, opened(redis_cluster.url, versions) as store:
        (found,) = store.exchange([asked(many(50))])
        key = f"log:{versions}:{{features:customer:7}}"
        slot = cluster.cluster_keyslot(key)
        source = cluster.get_node_from_key(key).port
        target = next(port for port in ports if port != source)
        one, other = client_of_redis.Redis(port=source), client_of_redis.Redis(port=target)
        ids = {port: client_of_redis.Redis(port=port).execute_command("CLUSTER MYID").decode() for port in ports}
        other.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
        one.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
        known = {str(k): int(found.start[k]) + 1 for k in range(50)}
        store.exchange([asked(many(50, 2), known)])
        one.execute_command("MIGRATE", "127.0.0.1", target, key, 0, 2000)
        known = {name: number + 1 for name, number in known.items()}
        (asking,) = store.exchange([asked(many(50, 3), known)])
        assert not asking.unread
        for port in (target, source):
            client_of_redis.Redis(port=port).execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target])
        known = {name: number + 1 for name, number in known.items()}
        (moved,) = store.exchange([asked(many(50, 4), known)])
        assert not moved.unread and read_all(store, "7") == [event(1, tag) for tag in (1, 2, 3, 4)]


def test_a_node_of_a_cluster_that_lost_its_memory_is_noticed(redis_cluster, versions):
    with opened(redis_cluster.url, versions) as store, opened(redis_cluster.url, versions) as other:
        store.begin(3)
        assert other.through() == 3
        store.exchange([asked(many(50))])
        with client_of_redis.Redis(port=redis_cluster.nodes[1].port) as node:
            node.flushall()
        with pytest.raises(LogsLost):
            other.exchange([asked(many(50, 2))])
        assert other.through() is None
        other.begin(3)
        assert other.through() == 3


def plan_and_events(n=3_000):
    """Two entities, out of order by a little, some outcomes."""
    hour = 3_600 * 10**9
    spec = FeatureSpec(
        ("customer", "terminal"), (("amount", Type.NUMBER),),
        (
            WindowGroup("customer", (("1h", hour), ("5d", 120 * hour)),
                        {"sum_{length}": "sum(amount)", "std_{length}": "std(amount)", "max_{length}": "max(amount)"}),
            WindowGroup("terminal", (("5d", 120 * hour),), {"risk": "mean(fraud)"}, delay_ns=hour),
        ),
        {}, "fraud", hour, hour, True,
    )  # fmt: skip
    plan, faults = plan_features(spec)
    assert plan is not None and not faults
    rng = np.random.default_rng(7)
    time = 1_600_000_000 * 10**9 + np.cumsum(rng.integers(0, hour // 3, n)) - rng.integers(0, hour, n)
    keys = np.stack([rng.integers(0, 40, n), rng.integers(0, 60, n)], 1)
    ids, kind, label = np.arange(n), np.zeros(n, np.uint8), np.full(n, np.nan)
    for row in range(50, n, 5):  # Each is an outcome of one before it.
        of = row - int(rng.integers(1, 50))
        of -= of % 5 == 0
        ids[row], time[row], keys[row], kind[row], label[row] = of, time[of], keys[of], 2, row % 2
    return plan, EventBatch(ids, time, keys, rng.gamma(1, 60, (n, 1)).round(2), label, kind)


@pytest.mark.parametrize("kind", ["redis", "redis_cluster"])
def test_two_workers_on_real_servers_see_what_one_process_sees(kind, request):
    plan, events = plan_and_events()
    expected = WindowFeaturizer(plan).features(events)
    url, rng = request.getfixturevalue(kind).url, np.random.default_rng(1)
    with opened(url, "twin") as one, opened(url, "twin") as other:
        workers = [SharedFeaturizer(plan, store, ("customer", "terminal")) for store in (one, other)]
        start = 0
        while start < len(events):
            stop = min(len(events), start + int(rng.integers(1, 300)))
            part, worker = events.slice(start, stop), workers[int(rng.integers(2))]
            if rng.random() < 0.2:
                worker.features(part)  # Decided by a worker that fell before anyone saw it.
                for each in workers:
                    each.forget()
            found = worker.features(part)
            asked_for = part.kind == 0
            assert np.array_equal(found.values[asked_for], expected.values[start:stop][asked_for], equal_nan=True)
            assert np.array_equal(found.freshness[asked_for], expected.freshness[start:stop][asked_for])
            start = stop


def test_without_the_package_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(RedisMissing, match=r"pip install 'homeostat\[redis\]'"):
        RedisFeatures("redis://127.0.0.1:1/0", "v")


def test_commands_are_packed_alike_with_and_without_hiredis():
    from hiredis import pack_command

    command = ("EVALSHA", "größer", b"\x00\r\n", "", "1")
    assert packed(command) == pack_command(command)
    assert shown_url("redis://u:p@h:1/0") == "redis://u@h:1/0"


def test_garbage_in_many_logs_is_mended_in_one_attempt(redis, versions):
    """Each attempt ended at the first log that was none: with many of them, decisions were flagged for long."""
    from trials.corruption.redis_keys import Journal, batch, decided, plan

    chance, journal, planned = np.random.default_rng(3), Journal(), plan()
    with opened(redis.url, versions) as store, clients(redis) as client:
        worker, truth = SharedFeaturizer(planned, store, ("customer", "terminal")), WindowFeaturizer(planned)
        rejoin(worker, store, journal)
        for at in range(40):
            events = batch(chance, 1 + 6 * at, at)
            events.keys[:, 0] += 3 * at
            truth.features(events)
            journal.bodies.append(decided(events, worker.features(events)))
        logs = sorted(client.keys(f"log:{versions}:*"))
        assert len(logs) > 100
        for key in logs[::2]:
            client.set(key, b"garbage")
        worker.forget()
        events = batch(chance, 1000, 40)
        assert worker.features(events).fallback and worker.behind
        truth.features(events)
        journal.bodies.append(decided(events, worker.features(events)))
        rejoin(worker, store, journal, 0)
        assert not worker.behind
        for at in (41, 42):
            events = batch(chance, 1000 + 6 * at, at)
            found = worker.features(events)
            assert not found.fallback
            assert np.array_equal(found.values, truth.features(events).values, equal_nan=True)
            journal.bodies.append(decided(events, found))
