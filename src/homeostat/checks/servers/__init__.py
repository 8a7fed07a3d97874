"""Real servers for tests and benchmarks: Redis, PostgreSQL, Kafka, S3, InfluxDB, Prometheus and others.

Each is a context manager, with `url`, `address`, `port`, `pid` and `folder`; `stop` (graceful) and `kill` (SIGKILL) can
be followed by `start`, on the same port and with the same data::

    with redis_server(persistence=True) as redis:
        client = Redis.from_url(redis.url)
        redis.kill()
        redis.start()

Missing programs are installed by apt-get when that is allowed, or run by Docker. Where neither goes, the functions
raise `CantBeHad`. Everything is gone when the process that started it ends, however it ends.
"""

from homeostat.checks.servers.cluster import RedisCluster, redis_cluster
from homeostat.checks.servers.influx import influx_server
from homeostat.checks.servers.kafka import kafka_broker
from homeostat.checks.servers.machine import CantBeHad
from homeostat.checks.servers.mlflow import mlflow_server
from homeostat.checks.servers.pgbouncer import pgbouncer
from homeostat.checks.servers.postgres import postgres_server
from homeostat.checks.servers.prometheus import alertmanager_server, prometheus_server
from homeostat.checks.servers.redis import redis_server
from homeostat.checks.servers.s3 import s3_server
from homeostat.checks.servers.server import Server, StartFailed
from homeostat.checks.servers.shared import Address, shared_server

__all__ = [
    "Address", "CantBeHad", "RedisCluster", "Server", "StartFailed", "alertmanager_server", "influx_server",
    "kafka_broker", "mlflow_server", "pgbouncer", "postgres_server", "prometheus_server", "redis_cluster",
    "redis_server", "s3_server", "shared_server",
]  # fmt: skip
