"""Decisions of challengers in shadow, and the leases of the processes that make them."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE shadowed (
    version text COLLATE "C" NOT NULL,
    entry bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body bytea NOT NULL,
    PRIMARY KEY (version, entry)
);
CREATE TABLE shadow_leases (
    version text COLLATE "C" PRIMARY KEY,
    owner text NOT NULL,
    until timestamptz NOT NULL,
    state json NOT NULL
)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables; the decisions can be made again from the journal."""
    op.execute("DROP TABLE shadowed, shadow_leases")
