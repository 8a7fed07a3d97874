"""Alembic's environment: the connection is given by whoever runs the migrations, and so is the transaction."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="homeostat_version")
context.run_migrations()
