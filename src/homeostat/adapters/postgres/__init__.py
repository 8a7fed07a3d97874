"""The journal on PostgreSQL: its connections, tables, migrations and retention."""

from homeostat.errors import needs, present

with needs("postgres", "a journal on PostgreSQL"):
    present("psycopg", "alembic", "sqlalchemy")

from homeostat.adapters.postgres.journal import PostgresJournal  # It imports what may be missing.

__all__ = ["PostgresJournal"]
