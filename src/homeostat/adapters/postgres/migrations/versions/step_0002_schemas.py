"""Entries name the schema of their bodies, kept once, and ids that of their keys; see `records.schemas`."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Entries that are there already are of format 1, whose names are not in them: `about` keeps those for them all.
_STATEMENTS = """
CREATE TABLE schemas (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    text text NOT NULL
);
ALTER TABLE event_ids ADD COLUMN schema integer;
INSERT INTO about SELECT 'format_1_until', max(sequence)::text FROM entries HAVING max(sequence) IS NOT NULL
"""


def upgrade() -> None:
    """Make the table, and note how far the entries of format 1 go."""
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Drop it; entries written since can then not be read any more."""
    op.execute("ALTER TABLE event_ids DROP COLUMN schema")
    op.execute("DELETE FROM about WHERE name LIKE 'format_1_%'")
    op.execute("DROP TABLE schemas")
