"""The learner of the app: who leads, what it published, where it stands, and what exploration has cost so far."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
CREATE TABLE learner (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL DEFAULT 0,
    owner text NOT NULL DEFAULT '',
    until_at timestamptz NOT NULL DEFAULT '-infinity',
    position bigint NOT NULL DEFAULT 0,
    behind bigint NOT NULL DEFAULT 0,
    moment_ns bigint NOT NULL DEFAULT 0,
    noted_at timestamptz,
    seen_at timestamptz,
    trouble text NOT NULL DEFAULT ''
)
""",
    "INSERT INTO learner DEFAULT VALUES",
    """
CREATE TABLE learner_states (
    digest text COLLATE "C" PRIMARY KEY,
    learner text NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    content bytea NOT NULL
)
""",
    "CREATE TABLE learner_saved (part integer PRIMARY KEY, content bytea NOT NULL)",
    "CREATE TABLE exploration_grants (period bigint PRIMARY KEY, granted double precision NOT NULL)",
)


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables; the changes that name learned states stay."""
    for table in ("learner", "learner_states", "learner_saved", "exploration_grants"):
        op.execute(f"DROP TABLE {table}")
