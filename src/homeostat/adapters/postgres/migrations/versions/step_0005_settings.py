"""The settings: changes, the last of them, and how far each process has come."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# A body is `json`, which keeps every digit as it was given; `jsonb` would not. The one row of the head is locked while
# a change is stored: the numbers of a sequence would have gaps.
_STATEMENTS = """
CREATE TABLE settings_changes (
    number bigint PRIMARY KEY,
    at_ns bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    body json,
    before json,
    before_expires_ns bigint,
    actor text NOT NULL,
    reason text NOT NULL,
    key text COLLATE "C" NOT NULL,
    expires_ns bigint,
    reverts bigint NOT NULL,
    digest bytea NOT NULL
);
CREATE INDEX settings_changes_scope ON settings_changes (kind, scope, number);
CREATE INDEX settings_changes_at ON settings_changes (at_ns);
CREATE UNIQUE INDEX settings_changes_key ON settings_changes (key) WHERE key <> '';
CREATE TABLE settings_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint NOT NULL,
    at_ns bigint NOT NULL,
    digest bytea NOT NULL
);
INSERT INTO settings_head VALUES (true, 0, 0, decode(repeat('00', 32), 'hex'));
CREATE TABLE settings_processes (
    process text COLLATE "C" PRIMARY KEY,
    number bigint NOT NULL,
    at_ns bigint NOT NULL,
    trouble text NOT NULL
)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables, with everything in them."""
    op.execute("DROP TABLE settings_processes, settings_head, settings_changes")
