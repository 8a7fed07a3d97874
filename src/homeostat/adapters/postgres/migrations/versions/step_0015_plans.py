"""Responses to incidents, their plans with the gate's rulings, and the owner's words on levels of autonomy."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE responses (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident text COLLATE "C" NOT NULL UNIQUE,
    revision bigint NOT NULL,
    phase text COLLATE "C" NOT NULL,
    text text NOT NULL
);
CREATE INDEX responses_phase ON responses (phase, number);
CREATE TABLE ruled_plans (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash text COLLATE "C" NOT NULL UNIQUE,
    incident text COLLATE "C" NOT NULL,
    at_ns bigint NOT NULL,
    text text NOT NULL
);
CREATE INDEX ruled_plans_at ON ruled_plans (at_ns);
CREATE TABLE raised_levels (
    number bigint PRIMARY KEY,
    remedy text COLLATE "C" NOT NULL,
    reach text COLLATE "C" NOT NULL,
    at_ns bigint NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL
)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables, with everything in them."""
    op.execute("DROP TABLE responses, ruled_plans, raised_levels")
