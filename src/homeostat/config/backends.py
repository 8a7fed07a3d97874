"""Which adapter opens an address, by the address's scheme.

A new backend is an adapter, a line here, and its conformance suite in `homeostat.checks`. The adapters are named by
module and name, not imported: an address can be checked without their packages.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backend:
    """An adapter.

    opener : `module:name` of what opens it, see `adapters.opening`
    extra : which extra of homeostat brings the packages that it needs
    purpose : the subject of the sentence that says so
    creator : of streams: `module:name` of what creates the missing ones
    sender : of streams: `module:name` of what sends single messages to one
    tables : of journals: `module:name` of what opens their tables, to compare them with an audit trail
    """

    opener: str
    extra: str
    purpose: str
    creator: str = ""
    sender: str = ""
    tables: str = ""


_POSTGRES = Backend(
    "homeostat.adapters.postgres:PostgresJournal", "postgres", "a journal in PostgreSQL",
    tables="homeostat.adapters.postgres.auditing:open_tables",
)  # fmt: skip
_POSTGRES_KEYS = Backend("homeostat.adapters.disk.api_keys:PostgresApiKeys", "postgres", "keys in PostgreSQL")
_POSTGRES_SETTINGS = Backend(
    "homeostat.adapters.postgres.settings:PostgresSettings", "postgres", "settings in PostgreSQL"
)
_POSTGRES_JOBS = Backend("homeostat.adapters.postgres.jobs:PostgresJobs", "postgres", "jobs in PostgreSQL")
_POSTGRES_LEARNING = Backend(
    "homeostat.adapters.postgres.learning:PostgresLearning", "postgres", "a learner's states in PostgreSQL"
)
_POSTGRES_MODELS = Backend(
    "homeostat.adapters.postgres.registry:PostgresRegistry", "postgres", "a registry in PostgreSQL"
)
_POSTGRES_SHADOW = Backend(
    "homeostat.adapters.postgres.shadow:PostgresShadow", "postgres", "decisions of challengers in PostgreSQL"
)
_POSTGRES_STATEMENTS = Backend(
    "homeostat.adapters.postgres.statements:PostgresStatements", "postgres", "questions and feedback in PostgreSQL"
)
_POSTGRES_INCIDENTS = Backend(
    "homeostat.adapters.postgres.incidents:PostgresIncidents", "postgres", "incidents in PostgreSQL"
)
_POSTGRES_PLANS = Backend("homeostat.adapters.postgres.plans:PostgresPlans", "postgres", "plans in PostgreSQL")
_POSTGRES_MEMORY = Backend("homeostat.adapters.postgres.memory:PostgresMemory", "postgres", "a memory in PostgreSQL")
_POSTGRES_LISTS = Backend(
    "homeostat.adapters.postgres.decision_pages:open_decision_lists", "postgres", "lists of decisions in PostgreSQL"
)
_REDIS = Backend("homeostat.adapters.redis.features:RedisFeatures", "redis", "a feature store on Redis")
_REDIS_STREAM = Backend(
    "homeostat.adapters.redis.opening:open_stream", "redis", "a stream on Redis",
    "homeostat.adapters.redis.opening:create_missing", "homeostat.adapters.redis.sender:RedisSender",
)  # fmt: skip
_KAFKA = Backend(
    "homeostat.adapters.kafka.opening:open_stream", "kafka", "a stream on Kafka",
    "homeostat.adapters.kafka.opening:create_missing", "homeostat.adapters.kafka.sender:KafkaSender",
)  # fmt: skip

JOURNALS = {"postgresql": _POSTGRES, "postgres": _POSTGRES}
KEYS = {"postgresql": _POSTGRES_KEYS, "postgres": _POSTGRES_KEYS}
SETTINGS = {"postgresql": _POSTGRES_SETTINGS, "postgres": _POSTGRES_SETTINGS}
LEARNING = {"postgresql": _POSTGRES_LEARNING, "postgres": _POSTGRES_LEARNING}
JOBS = {"postgresql": _POSTGRES_JOBS, "postgres": _POSTGRES_JOBS}
MODELS = {"postgresql": _POSTGRES_MODELS, "postgres": _POSTGRES_MODELS}
SHADOWS = {"postgresql": _POSTGRES_SHADOW, "postgres": _POSTGRES_SHADOW}
STATEMENTS = {"postgresql": _POSTGRES_STATEMENTS, "postgres": _POSTGRES_STATEMENTS}
INCIDENTS = {"postgresql": _POSTGRES_INCIDENTS, "postgres": _POSTGRES_INCIDENTS}
PLANS = {"postgresql": _POSTGRES_PLANS, "postgres": _POSTGRES_PLANS}
MEMORIES = {"postgresql": _POSTGRES_MEMORY, "postgres": _POSTGRES_MEMORY}
DECISION_LISTS = {"postgresql": _POSTGRES_LISTS, "postgres": _POSTGRES_LISTS}
FEATURES = {"redis": _REDIS, "rediss": _REDIS, "redis+cluster": _REDIS, "rediss+cluster": _REDIS}
STREAMS = {"kafka": _KAFKA, "redis-stream": _REDIS_STREAM, "rediss-stream": _REDIS_STREAM}
OBJECT_STORES = ("s3", "gs", "abfs", "file")  # Where versions' files are; pyarrow reaches all of them.
