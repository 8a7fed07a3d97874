"""A Kafka broker: one node that is its own controller (KRaft), from Maven's artifacts on this machine's Java."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path

from homeostat.checks.servers import machine
from homeostat.checks.servers.server import Recipe, Server, StartFailed

VERSION = "4.1.1"
JAVA_MIN = 17
IMAGE = f"apache/kafka:{VERSION}"
READY = "Kafka Server started"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.1</version></dependency>
  </dependencies>
</project>
"""
_LOGGING = """status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %m (%c)%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
"""
_SETTINGS = {
    "process.roles": "broker,controller", "node.id": "1", "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1", "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4", "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1", "group.initial.rebalance.delay.ms": "0",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "auto.create.topics.enable": "false", "group.min.session.timeout.ms": "1000",
    # A broker that was killed comes back only once its controller has given up the one that it was.
    "controlled.shutdown.enable": "false", "broker.session.timeout.ms": "4000", "broker.heartbeat.interval.ms": "500",
}  # fmt: skip


def kafka_broker(settings: Mapping[str, str] | None = None) -> Server:
    """A broker that isn't running yet; it creates no topics by itself.

    settings : further ones of the broker, where "{port}" is its port, and "{controller}" its controller's. Not for
        containers
    Raises CantBeHad.
    """
    java, mvn = _java(), machine.find("mvn")
    if java is None and machine.install("default-jre-headless"):
        java = _java()
    if java is not None and mvn is None and not _cache().is_dir() and machine.install("maven"):
        mvn = machine.find("mvn")
    if java is not None and (mvn is not None or _cache().is_dir()):
        return Server(_from_artifacts(java, settings or {}))
    if machine.docker() and not settings:
        return Server(_container())
    raise machine.CantBeHad(f"no Kafka: it needs Java {JAVA_MIN} and mvn, or Docker, and neither can be installed")


def _from_artifacts(java: str, further: Mapping[str, str]) -> Recipe:
    jars = fetched()
    controller = machine.free_port()

    def prepare(folder: Path, port: int) -> None:
        (folder / "log4j2.properties").write_text(_LOGGING)
        (folder / "server.properties").write_text(_properties(str(folder / "data"), port, controller, further))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = _run(java, jars, folder, "-Xmx128m")
        tool += ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", "server.properties"]
        done = subprocess.run(tool, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StartFailed(f"kafka.tools.StorageTool failed:\n{done.stdout}{done.stderr}")

    def command(folder: Path, port: int) -> list[str]:
        return [*_run(java, jars, folder, "-Xmx512m"), "kafka.Kafka", "server.properties"]

    what = f"Kafka {VERSION} (Maven artifacts, Java {_major(java)})"
    # A broker whose clients are there takes half a minute to leave a cluster that is only itself.
    return Recipe("kafka", what, READY, command, _url, prepare, end=signal.SIGKILL)


def _container() -> Recipe:
    def image(port: int) -> list[str]:
        listeners = {
            "listeners": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://127.0.0.1:9093",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.quorum.voters": "1@127.0.0.1:9093", "log.dirs": "/data/kafka",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        }  # fmt: skip
        named = {"KAFKA_" + name.replace(".", "_").upper(): value for name, value in {**_SETTINGS, **listeners}.items()}
        own = [part for name, value in named.items() for part in ("--env", f"{name}={value}")]
        return ["--publish", f"127.0.0.1:{port}:{port}", "--user", "root", *own, IMAGE]

    return Recipe("kafka", f"{IMAGE} (Docker)", READY, lambda folder, port: [], _url, image=image)


def fetched() -> Path:
    """The folder with the broker's jars, fetched once for all processes of a user. Raises CantBeHad."""
    cache = _cache()
    if cache.is_dir():
        return cache
    cache.parent.mkdir(parents=True, exist_ok=True)
    print(f"servers: fetching Kafka {VERSION} with mvn, once, into {cache}", file=sys.stderr)
    work = Path(tempfile.mkdtemp(prefix=".kafka-", dir=cache.parent))
    try:
        (work / "pom.xml").write_text(_POM)
        command = [machine.find("mvn") or "mvn", "-B", "-q", "-f", str(work / "pom.xml"), _COPY]
        command.append(f"-DoutputDirectory={work / 'jars'}")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lines = (done.stdout + done.stderr).strip().splitlines()
            raise machine.CantBeHad(f"no Kafka: mvn can't fetch it: {lines[0] if lines else 'it says nothing'}")
        try:
            os.rename(work / "jars", cache)  # All at once; the second process has fetched it for nothing.
        except OSError:
            if not cache.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return cache


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "homeostat" / f"kafka-{VERSION}"


def _run(java: str, jars: Path, folder: Path, *options: str) -> list[str]:
    logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
    # The second compiler takes a third of the processor time of a start, and a broker here lives for minutes.
    return [java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *options, logging, "-cp", f"{jars}/*"]


def _properties(data: str, port: int, controller: int, further: Mapping[str, str]) -> str:
    settings = {
        **_SETTINGS, "log.dirs": data, "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
    }  # fmt: skip
    for name, value in further.items():
        settings[name] = value.replace("{port}", str(port)).replace("{controller}", str(controller))
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _java() -> str | None:
    java = machine.find("java")
    return java if java is not None and _major(java) >= JAVA_MIN else None


def _major(java: str) -> int:
    first = machine.version(java, "-version").split(".")[0]
    return int(first) if first.isdigit() else 0


def _url(port: int) -> str:
    return f"kafka://127.0.0.1:{port}"
