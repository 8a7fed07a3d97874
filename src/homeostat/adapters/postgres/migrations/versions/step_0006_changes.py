"""Decisions name the settings number that they were made under; entries of changes are found without reading others."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, 0 for what was decided before, and the index."""
    op.execute("ALTER TABLE decisions ADD COLUMN settings bigint NOT NULL DEFAULT 0")
    op.execute("CREATE INDEX entries_changes ON entries (sequence) WHERE kind = 3")
