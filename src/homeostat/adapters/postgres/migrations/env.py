"""Alembic's environment: the connection is given by whoever runs the migrations, and so is the transaction."""

from __future__ import annotations

from alembic import context

if hasattr(context, "config"):  # Alembic runs this file as a script; whoever merely imports it gets nothing.
    context.configure(connection=context.config.attributes["connection"], version_table="homeostat_version")
    context.run_migrations()
