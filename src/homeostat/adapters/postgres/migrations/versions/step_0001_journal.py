"""The journal: entries, decisions, event ids, outcomes, and who may ask."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Ids are compared byte by byte: the server's language neither slows that down nor changes its meaning when it is
# upgraded. Bodies are compressed by the writer, so the server must not try once more (EXTERNAL).
_STATEMENTS = """
CREATE TABLE about (name text PRIMARY KEY, value text NOT NULL);
INSERT INTO about VALUES ('id', gen_random_uuid()::text);

CREATE SEQUENCE entry_numbers AS bigint;
CREATE TABLE entries (
    sequence bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    first_ns bigint NOT NULL,
    last_ns bigint NOT NULL,
    kind smallint NOT NULL,
    codec smallint NOT NULL,
    rows integer NOT NULL,
    digest bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (sequence, recorded_at)
) PARTITION BY RANGE (recorded_at);
ALTER TABLE entries ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE decisions (
    entry bigint NOT NULL,
    time timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    risk double precision NOT NULL,
    row integer NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    action text NOT NULL,
    rule text NOT NULL,
    fallback text NOT NULL,
    version text NOT NULL,
    place text NOT NULL
) PARTITION BY RANGE (recorded_at);
CREATE INDEX decisions_event_id ON decisions (event_id);

CREATE TABLE event_ids (
    code bigint NOT NULL,
    entry bigint NOT NULL,
    time_ns bigint NOT NULL,
    row integer NOT NULL,
    day date NOT NULL,
    keys bigint[] NOT NULL,
    place text NOT NULL,
    key_texts text
);
ALTER TABLE event_ids ADD PRIMARY KEY (code);

CREATE TABLE outcomes (
    entry bigint NOT NULL,
    known_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    label double precision NOT NULL,
    amount double precision,
    event_id text COLLATE "C" NOT NULL,
    place text COLLATE "C" NOT NULL
);
CREATE INDEX outcomes_event_id ON outcomes (event_id);
CREATE UNIQUE INDEX outcomes_place ON outcomes (place) WHERE place <> '';

CREATE TABLE api_keys (
    id text PRIMARY KEY,
    name text NOT NULL,
    scopes text[] NOT NULL,
    hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    rate real
)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables, with everything in them."""
    op.execute("DROP TABLE api_keys, outcomes, event_ids, decisions, entries, about")
    op.execute("DROP SEQUENCE entry_numbers")
