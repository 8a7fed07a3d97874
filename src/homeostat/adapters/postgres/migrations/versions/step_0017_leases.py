"""Leases of those who answer incidents side by side."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        'CREATE TABLE response_leases (name text COLLATE "C" PRIMARY KEY, owner text COLLATE "C" NOT NULL, '
        "until_ns bigint NOT NULL, fence bigint NOT NULL)"
    )


def downgrade() -> None:
    """Drop the table."""
    op.execute("DROP TABLE response_leases")
