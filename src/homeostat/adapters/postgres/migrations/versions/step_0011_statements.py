"""Statements: questions about decisions, answers, and feedback; and the words in them, which can be forgotten."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE statements (
    number bigint PRIMARY KEY,
    at_ns bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    about text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    value text NOT NULL,
    source text NOT NULL,
    actor text NOT NULL,
    key text COLLATE "C" NOT NULL,
    refers bigint NOT NULL,
    text_hash text NOT NULL,
    digest bytea NOT NULL
);
CREATE INDEX statements_kind ON statements (kind, number);
CREATE INDEX statements_refers ON statements (refers, number) WHERE refers > 0;
CREATE UNIQUE INDEX statements_key ON statements (key) WHERE key <> '';
CREATE TABLE statement_texts (
    number bigint PRIMARY KEY,
    salt bytea NOT NULL,
    text text NOT NULL,
    contact text NOT NULL
)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables, with everything in them."""
    op.execute("DROP TABLE statement_texts, statements")
