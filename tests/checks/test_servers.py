import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import psycopg
import pytest
from redis import Redis
from redis.cluster import RedisCluster as ClusterClient

from homeostat.checks.servers import (
    CantBeHad,
    StartFailed,
    alertmanager_server,
    influx_server,
    kafka_broker,
    machine,
    postgres_server,
    prometheus_server,
    redis_cluster,
    redis_server,
)
from homeostat.checks.servers import postgres as postgres_module
from homeostat.checks.servers.server import Recipe, Server, entered


def until(condition, within_s=20.0):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_redis_forgets_unless_it_is_set_to_persist(own_server):
    for persistence in (False, True):
        server = own_server(redis_server, persistence=persistence)
        port = server.port
        with Redis.from_url(server.url) as client:
            client.set("a", "1")
        server.restart()
        assert server.port == port
        with Redis.from_url(server.url) as client:
            assert client.get("a") == (b"1" if persistence else None)


def test_a_redis_cluster_serves_every_slot_again_after_a_node_was_killed(own_server):
    cluster = own_server(redis_cluster)
    with ClusterClient(host="127.0.0.1", port=cluster.port) as client:
        for key in range(100):
            client.set(f"key{key}", key)
    cluster.nodes[1].stop()
    cluster.start()
    with ClusterClient(host="127.0.0.1", port=cluster.port) as client:
        assert [int(client.get(f"key{key}")) for key in range(100)] == list(range(100))


def test_postgres_keeps_what_was_committed_when_it_is_killed(own_server):
    server = own_server(postgres_server)
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    waiting = psycopg.connect(server.url)
    server.kill()
    server.start()
    waiting.close()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]
        assert connection.execute("SHOW fsync").fetchone() == ("on",)


def test_kafka_keeps_its_topics_when_it_is_killed(own_server):
    from confluent_kafka.admin import AdminClient, NewTopic

    server = own_server(kafka_broker)
    admin = AdminClient({"bootstrap.servers": server.address})
    admin.create_topics([NewTopic("kept", 2, 1)])["kept"].result()
    server.kill()
    server.start()
    admin = AdminClient({"bootstrap.servers": server.address})
    assert len(admin.list_topics(timeout=10).topics["kept"].partitions) == 2
    assert "none" not in admin.list_topics("none", timeout=10).topics or admin.list_topics("none").topics["none"].error


def test_the_shared_servers_answer(redis, postgres, redis_cluster, kafka):
    with Redis.from_url(redis.url) as client:
        assert client.ping()
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("homeostat",)
    assert len(redis_cluster.nodes) == 3
    socket.create_connection(("127.0.0.1", kafka.port), 5).close()


def test_a_closed_server_leaves_nothing_behind(own_server):
    server = own_server(redis_server)
    folder, pid = server.folder, server.pid
    server.close()
    assert not folder.exists() and not psutil.pid_exists(pid)


def test_a_server_that_ends_at_once_shows_its_log():
    recipe = Recipe(
        "broken", "a broken server", "never", lambda folder, port: ["sh", "-c", "echo its last words; exit 3"], str
    )
    with pytest.raises(StartFailed, match=r"a broken server ended; its log ends with:\nits last words"), Server(recipe):
        pass


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_command_line_clears_up_however_it_ends(number, own_server):
    own_server(redis_server).close()  # Skips the test where there is none.
    command = [sys.executable, "-m", "homeostat.checks.servers", "redis"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = json.loads(process.stdout.readline())
        folders = [Path(f"/proc/{said['pid']}/cwd").resolve()] if Path("/proc/self").exists() else []
        with Redis.from_url(said["url"]) as client:
            assert client.ping()
        process.send_signal(number)
    assert process.returncode == (-number if number == signal.SIGKILL else 0)
    until(lambda: not psutil.pid_exists(said["pid"]) and not any(folder.exists() for folder in folders))


def test_a_shared_server_ends_with_its_owner(own_server):
    own_server(redis_server).close()
    with subprocess.Popen(["sleep", "60"]) as owner:
        command = [sys.executable, "-m", "homeostat.checks.servers", "redis", "--while", str(owner.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            said = json.loads(process.stdout.readline())
            owner.kill()
            owner.wait()
            assert process.wait(20) == 0
    assert not psutil.pid_exists(said["pid"])


def test_what_a_machine_has_not_and_cannot_get_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(machine, "find", lambda program, also="": None)
    monkeypatch.setattr(machine, "install", lambda *packages: False)
    monkeypatch.setattr(machine, "docker", lambda: False)
    for make, name in (
        (redis_server, "Redis"), (redis_cluster, "Redis"), (postgres_server, "PostgreSQL"), (kafka_broker, "Kafka"),
        (influx_server, "InfluxDB"), (prometheus_server, "Prometheus"), (alertmanager_server, "Alertmanager"),
    ):  # fmt: skip
        with pytest.raises(CantBeHad, match=f"^no {name}: .*[^\n]$"):
            make()


def test_postgres_runs_as_nobody_where_it_has_no_user_of_its_own(monkeypatch, own_server):
    if os.geteuid() != 0:
        pytest.skip("only root runs it as another user")
    real = postgres_module.pwd.getpwnam
    monkeypatch.setattr(postgres_module.pwd, "getpwnam", lambda name: real("missing" if name == "postgres" else name))
    server = own_server(postgres_server)
    assert psutil.Process(server.pid).username() == "nobody"


def test_a_container_is_run_with_the_servers_own_port_and_a_volume(monkeypatch):
    monkeypatch.setattr(machine, "find", lambda program, also="": None)
    monkeypatch.setattr(machine, "install", lambda *packages: False)
    monkeypatch.setattr(machine, "docker", lambda: True)
    for make, image in (
        (redis_server, "redis:"),
        (postgres_server, "postgres:"),
        (kafka_broker, "apache/kafka:"),
        (influx_server, "influxdb:"),
    ):
        server = make()
        options = server._recipe.image(server.port)
        assert options[-1].startswith(image) and f"127.0.0.1:{server.port}:" in options[1] and "Docker" in server.what
    with pytest.raises(CantBeHad, match="no Redis Cluster"):
        redis_cluster()


class Half:
    """Servers of which one starts and the other does not."""

    def __init__(self):
        self.steps = []

    def start(self):
        self.steps.append("one")
        raise StartFailed("the other did not start")

    def close(self):
        self.steps.append("closed")


def test_servers_of_which_one_does_not_start_are_closed():
    half = Half()
    with pytest.raises(StartFailed, match="the other"):
        entered(half)
    assert half.steps == ["one", "closed"]


def test_influxdb_keeps_what_it_has_answered_to_when_it_is_killed(own_server):
    server = own_server(influx_server)
    for path, body in (("query?q=CREATE+DATABASE+kept", b""), ("write?db=kept", b"m n=7 1000")):
        urllib.request.urlopen(f"{server.url}/{path}", body, timeout=20).close()
    server.kill()
    server.start()
    with urllib.request.urlopen(f"{server.url}/query?db=kept&q=SELECT+n+FROM+m&epoch=ns", timeout=20) as reply:
        assert json.load(reply)["results"][0]["series"][0]["values"] == [[1000, 7]]


def test_prometheus_and_alertmanager_answer(prometheus_store, alertmanager):
    for url in (f"{prometheus_store.url}/-/ready", f"{alertmanager.url}/-/ready"):
        with urllib.request.urlopen(url, timeout=20) as reply:
            assert reply.status == 200
