"""The journal on PostgreSQL: its connections, tables, migrations and retention."""

from importlib.util import find_spec

from homeostat.ports import Unavailable

if any(find_spec(name) is None for name in ("psycopg", "alembic", "sqlalchemy")):
    raise Unavailable("PostgreSQL needs an extra: pip install 'homeostat[postgres]'")

from homeostat.adapters.postgres.journal import PostgresJournal  # It imports what may be missing.

__all__ = ["PostgresJournal"]
