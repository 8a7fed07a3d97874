"""Past cases and the notes of people, with an index of their words."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE past_cases (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    revision bigint NOT NULL,
    opened_ns bigint NOT NULL,
    text text NOT NULL
);
CREATE INDEX past_cases_opened ON past_cases (opened_ns);
CREATE TABLE notes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    at_ns bigint NOT NULL,
    text text NOT NULL
);
CREATE TABLE passages (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    title text NOT NULL,
    text text NOT NULL
);
CREATE INDEX passages_owner ON passages (source, owner);
CREATE TABLE passage_words (
    number bigint PRIMARY KEY,
    words tsvector NOT NULL
);
CREATE INDEX passage_words_words ON passage_words USING gin (words)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables, with everything in them."""
    op.execute("DROP TABLE past_cases, notes, passages, passage_words")
