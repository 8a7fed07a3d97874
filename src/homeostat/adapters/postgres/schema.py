"""The tables: made and brought up to date by migrations, owned by one app, and what is wrong with them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from homeostat.adapters.journals.entries import JournalError
from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.ports import Unavailable

HEAD = "0018"  # The newest step of `migrations/versions`; a test holds the two together.
TABLES = (
    "about", "schemas", "entries", "decisions", "event_ids", "outcomes", "api_keys", "settings_changes",
    "settings_head", "settings_processes", "jobs", "job_logs", "model_versions", "shadowed",
    "shadow_leases", "learner", "learner_states", "learner_saved", "learner_asked", "exploration_grants",
    "statements", "statement_texts", "signals", "incidents", "incident_changes", "incident_silences",
    "incident_deliveries", "incident_cursor", "maintenance_lease", "maintenance_memory",
    "responses", "ruled_plans", "raised_levels", "past_cases", "notes", "passages", "passage_words",
    "response_leases", "decision_pages", "decision_columns",
)  # fmt: skip
# Keys of advisory locks, which all programs on a database share: "hmst" and a number of ours.
MIGRATION_LOCK = 0x686D7374_00000001
APPEND_LOCK = 0x686D7374_00000002
PARTITION_LOCK = 0x686D7374_00000003
CHANGE_LOCK = 0x686D7374_00000004
JOBS_LOCK = 0x686D7374_00000005
MODELS_LOCK = 0x686D7374_00000006
STATEMENTS_LOCK = 0x686D7374_00000007
INCIDENTS_LOCK = 0x686D7374_00000008
PLANS_LOCK = 0x686D7374_00000009
MEMORY_LOCK = 0x686D7374_0000000A
DECISION_PAGES_LOCK = 0x686D7374_0000000B
OLD_UNTIL, OLD_WORDS = "format_1_until", "format_1_words"
_VERSION_TABLE = "homeostat_version"
_WANTED = {
    "api_keys": "SELECT, INSERT, UPDATE", "event_ids": "SELECT, INSERT, DELETE", "outcomes": "SELECT, INSERT, DELETE",
    "settings_head": "SELECT, UPDATE", "settings_processes": "SELECT, INSERT, UPDATE, DELETE",
    "jobs": "SELECT, INSERT, UPDATE, DELETE", "job_logs": "SELECT, INSERT, DELETE",
    "statement_texts": "SELECT, INSERT, DELETE", "signals": "SELECT, INSERT, UPDATE, DELETE",
    "incidents": "SELECT, INSERT, UPDATE, DELETE", "incident_changes": "SELECT, INSERT, DELETE",
    "incident_silences": "SELECT, INSERT, DELETE", "incident_deliveries": "SELECT, INSERT, UPDATE, DELETE",
    "incident_cursor": "SELECT, UPDATE", "maintenance_lease": "SELECT, INSERT, UPDATE",
    "maintenance_memory": "SELECT, INSERT, DELETE", "responses": "SELECT, INSERT, UPDATE, DELETE",
    "ruled_plans": "SELECT, INSERT, UPDATE, DELETE", "raised_levels": "SELECT, INSERT",
    "past_cases": "SELECT, INSERT, UPDATE, DELETE", "notes": "SELECT, INSERT, UPDATE, DELETE",
    "passages": "SELECT, INSERT, DELETE", "passage_words": "SELECT, INSERT, DELETE",
    "response_leases": "SELECT, INSERT, UPDATE, DELETE",
    "decision_pages": "SELECT, INSERT, DELETE", "decision_columns": "SELECT, INSERT, DELETE",
    "model_versions": "SELECT, INSERT, UPDATE", "shadowed": "SELECT, INSERT, UPDATE, DELETE",
    "shadow_leases": "SELECT, INSERT, UPDATE, DELETE",
    "learner": "SELECT, UPDATE", "learner_asked": "SELECT, UPDATE", "learner_states": "SELECT, INSERT, UPDATE, DELETE",
    "learner_saved": "SELECT, INSERT, DELETE", "exploration_grants": "SELECT, INSERT, UPDATE, DELETE",
}  # fmt: skip
_SCRIPTS = Path(__file__).parent / "migrations"
_MIGRATION_S = 600.0  # A migration may rewrite a table; nothing else runs meanwhile.


@dataclass(frozen=True, slots=True)
class Standing:
    """The answers of a database to the questions of `homeostat doctor`.

    version : the migration it is at, None where it has none of our tables, or does not let us look
    current : whether that is the newest that this version knows
    app : whose journal it is; None where there is none yet
    server : PostgreSQL's version, such as "15.17"
    read_only : a standby, or a session that may not write
    missing : privileges that are needed and not there, each as the statement that grants it
    tables : those of ours that are there
    readable : whether we may read at which step they are
    skew_s : the server's clock minus ours, in seconds; as precise as a round trip
    """

    version: str | None
    current: bool
    app: str | None
    server: str
    read_only: bool
    missing: tuple[str, ...]
    tables: tuple[str, ...]
    readable: bool
    skew_s: float


def version_of(connection: Connection) -> str | None:
    """The migration that a database is at; None where there is none."""
    if not _there(connection, _VERSION_TABLE):
        return None
    row = connection.execute("SELECT version_num FROM homeostat_version").fetchone()
    return None if row is None else str(row[0])


def migrate(connections: Connections, app: str) -> None:
    """Bring the tables up to date, and make them this app's, whoever else tries the same at the same time.

    app : the tables' owner from now on; empty to leave that as it is
    Raises JournalError where they are another app's, or a newer version's; Unavailable where the server or its
    privileges fail.
    """

    def look(connection: Connection) -> tuple[str | None, dict[str, str]]:
        version = version_of(connection)
        return version, {} if version is None else about(connection)

    version, facts = connections.run(look)
    owner = facts.get("app")
    if version is not None:
        _check_owner(connections, owner, app)
    if version == HEAD and (owner or not app):
        return  # Without importing Alembic, which takes a while and 30 MB.
    _migrate(connections, app)


def standing(connections: Connections, now_ns: int) -> Standing:
    """How a database stands. Raises Unavailable when it can't be reached.

    now_ns : our clock, nanoseconds since 1970 UTC
    """
    return connections.run(lambda connection: _standing(connection, now_ns))


def connections_left(connections: Connections) -> tuple[int, int]:
    """How many more connections the server takes from ordinary users, and how many in all. Raises Unavailable."""
    sql = """SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
        (SELECT sum(numbackends)::int FROM pg_stat_database)"""
    row = connections.run(lambda connection: connection.execute(sql).fetchone())
    assert row is not None
    return int(row[0]) - int(row[1]), int(row[0])


def steps() -> list[str]:
    """The names of all migrations, the newest first."""
    from alembic.script import ScriptDirectory

    return [step.revision for step in ScriptDirectory(str(_SCRIPTS)).walk_revisions()]


def unversioned(tables: Sequence[str]) -> str:
    """Why tables without a version are of no use."""
    return (
        f"there are tables ({', '.join(tables)}), but {_VERSION_TABLE} does not say at which step they are: it is "
        "empty or missing"
    )


def _there(connection: Connection, *names: str) -> tuple[str, ...]:
    """Those of our tables that are there.

    Asked of the catalogue itself: names are looked up in the session's cache, which may be older than a lock.
    """
    sql = (
        "SELECT relname::text FROM pg_class WHERE relname = ANY(%s) AND pg_table_is_visible(oid) AND NOT relispartition"
    )
    found = {name for (name,) in connection.execute(sql, (list(names or TABLES),)).fetchall()}
    return tuple(name for name in names or TABLES if name in found)


def _migrate(connections: Connections, app: str) -> None:
    """All of it in one transaction: half a migration is none."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError

    def connect() -> Connection:
        return connections.connect(time.monotonic() + _MIGRATION_S, autocommit=False)

    engine = create_engine("postgresql+psycopg://", creator=connect)
    try:
        with engine.begin() as adopted:
            connection: Any = adopted.connection.driver_connection
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
            version = version_of(connection)
            if version is not None and version not in steps():
                raise JournalError(
                    f"{connections.where} was migrated to step {version} by a newer version of homeostat; this one "
                    f"knows {HEAD}"
                )
            if version is None and (there := _there(connection)):
                raise JournalError(f"{connections.where}: {unversioned(there)}")
            if version != HEAD:
                _upgrade(adopted)
            _check_owner(connections, _owner(connection), app)
            if app:
                connection.execute("INSERT INTO about VALUES ('app', %s) ON CONFLICT DO NOTHING", (app,))
    except (DBAPIError, psycopg.Error) as error:
        cause = getattr(error, "orig", None) or error
        raise Unavailable(connections.said(cause)) from None
    finally:
        engine.dispose()


def _upgrade(adopted: Any) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = adopted
    command.upgrade(config, "head")


def _one(connection: Connection, sql: str, *values: Any) -> Any:
    row = connection.execute(sql, values).fetchone()
    return None if row is None else row[0]


def about(connection: Connection) -> dict[str, str]:
    """The facts that the journal keeps about itself."""
    return {str(name): str(value) for name, value in connection.execute("SELECT name, value FROM about").fetchall()}


def _owner(connection: Connection) -> str | None:
    return about(connection).get("app")


def _check_owner(connections: Connections, owner: str | None, app: str) -> None:
    if app and owner and owner != app:
        raise JournalError(
            f"{connections.where} holds the journal of the app {owner}, not of {app}: give each app a database, or a "
            "schema by ?options=-csearch_path%3DNAME behind its address"
        )


def _standing(connection: Connection, now_ns: int) -> Standing:
    row = connection.execute(
        "SELECT current_setting('server_version'),"
        " pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,"
        " extract(epoch FROM clock_timestamp())::float8, current_schema(), current_user, current_database(),"
        " has_schema_privilege(current_schema(), 'CREATE')"
    ).fetchone()
    assert row is not None
    server, read_only, at_s, schema, user, database, may_create = row
    missing = []
    if schema is None:
        missing.append(f'CREATE SCHEMA AUTHORIZATION "{user}"  -- in {database}: no schema of the search_path exists')
    elif not may_create:
        missing.append(f'GRANT CREATE, USAGE ON SCHEMA "{schema}" TO "{user}"')
    tables = _there(connection)
    there = (*_there(connection, _VERSION_TABLE), *tables)
    for table in there:
        wanted = _WANTED.get(table, "SELECT, INSERT")
        sql = "SELECT bool_and(has_table_privilege(%s, trim(wish))) FROM unnest(string_to_array(%s, ',')) AS wish"
        if not _one(connection, sql, table, wanted):
            missing.append(f'GRANT {wanted} ON {table} TO "{user}"')
    # Only a table's owner may add partitions to it and drop them, and delete what is too old.
    sql = "SELECT bool_and(pg_has_role(relowner, 'MEMBER')) FROM pg_class WHERE oid = ANY(%s::regclass[])"
    if "entries" in there and not _one(connection, sql, ["entries", "decisions"]):
        missing.append(f'ALTER TABLE entries OWNER TO "{user}"; ALTER TABLE decisions OWNER TO "{user}"')
    readable = {table: not any(f" ON {table} " in wish for wish in missing) for table in there}
    may_read = readable.get(_VERSION_TABLE, True)
    version = version_of(connection) if may_read else None
    app = _owner(connection) if readable.get("about") else None
    return Standing(
        version,
        version == HEAD,
        app,
        str(server),
        bool(read_only),
        tuple(missing),
        tables,
        may_read,
        at_s - now_ns / 1e9,
    )
