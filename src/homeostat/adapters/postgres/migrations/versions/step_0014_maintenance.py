"""The lease and the memory of the maintenance loop."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE maintenance_lease (
    place bigint PRIMARY KEY,
    owner text COLLATE "C" NOT NULL,
    until_ns bigint NOT NULL,
    state text NOT NULL
);
CREATE TABLE maintenance_memory (
    part bigint PRIMARY KEY,
    body bytea NOT NULL
)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables, with everything in them."""
    op.execute("DROP TABLE maintenance_lease, maintenance_memory")
