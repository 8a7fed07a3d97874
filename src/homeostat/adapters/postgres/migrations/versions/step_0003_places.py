"""Entries say where their rows were read, as a digest, so that an audit trail covers that too."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which is NULL for entries that are there already."""
    op.execute("ALTER TABLE entries ADD COLUMN places bytea")


def downgrade() -> None:
    """Drop the column."""
    op.execute("ALTER TABLE entries DROP COLUMN places")
