"""The index of decisions: pages of columns by which lists find them. It follows from the journal."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Columns are compressed by the writer, so the server must not try once more (EXTERNAL).
_STATEMENTS = """
CREATE TABLE decision_pages (
    first bigint PRIMARY KEY,
    last bigint NOT NULL,
    rows integer NOT NULL,
    since_ns bigint NOT NULL,
    until_ns bigint NOT NULL,
    names text NOT NULL,
    digest text NOT NULL
);
CREATE TABLE decision_columns (
    page bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    codec smallint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (page, name)
);
ALTER TABLE decision_columns ALTER COLUMN body SET STORAGE EXTERNAL
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables: they are made again from the journal."""
    op.execute("DROP TABLE decision_pages, decision_columns")
