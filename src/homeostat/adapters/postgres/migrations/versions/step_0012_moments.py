"""The moment of the learning grid that a process waits for, and the last change that the learner published."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_STATEMENTS = (
    "ALTER TABLE learner ADD COLUMN number bigint NOT NULL DEFAULT 0",
    """
CREATE TABLE learner_asked (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    moment_ns bigint NOT NULL DEFAULT 0,
    after bigint NOT NULL DEFAULT 0
)
""",
    "INSERT INTO learner_asked DEFAULT VALUES",
)


def upgrade() -> None:
    """Make column and table."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop both."""
    op.execute("ALTER TABLE learner DROP COLUMN number")
    op.execute("DROP TABLE learner_asked")
