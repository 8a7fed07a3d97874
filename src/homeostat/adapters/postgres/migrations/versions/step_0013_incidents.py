"""Signals, incidents with their history, silences, and the deliveries of announcements."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_STATEMENTS = """
CREATE TABLE signals (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    at_ns bigint NOT NULL,
    still bigint NOT NULL,
    text text NOT NULL
);
CREATE TABLE incidents (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    revision bigint NOT NULL,
    phase text COLLATE "C" NOT NULL,
    updated_ns bigint NOT NULL,
    text text NOT NULL
);
CREATE INDEX incidents_phase ON incidents (phase, number);
CREATE TABLE incident_changes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    actor text NOT NULL,
    text text NOT NULL,
    UNIQUE (incident, revision)
);
CREATE TABLE incident_silences (
    id text COLLATE "C" PRIMARY KEY,
    until_ns bigint NOT NULL,
    text text NOT NULL
);
CREATE INDEX incident_silences_until ON incident_silences (until_ns);
CREATE TABLE incident_deliveries (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    channel text COLLATE "C" NOT NULL,
    incident text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    news text COLLATE "C" NOT NULL,
    made_ns bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    attempts bigint NOT NULL,
    next_ns bigint NOT NULL,
    ended_ns bigint NOT NULL,
    error text NOT NULL
);
CREATE INDEX incident_deliveries_due ON incident_deliveries (state, next_ns);
CREATE TABLE incident_cursor (
    name text COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO incident_cursor VALUES ('planned', 0)
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _STATEMENTS.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables, with everything in them."""
    op.execute(
        "DROP TABLE signals, incidents, incident_changes, incident_silences, incident_deliveries, incident_cursor"
    )
