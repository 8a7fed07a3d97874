"""The versions of the app's models; their files are in an object store."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_STATEMENT = """
CREATE TABLE model_versions (
    number bigint PRIMARY KEY,
    version text COLLATE "C" NOT NULL UNIQUE,
    digest bytea NOT NULL UNIQUE,
    created_ns bigint NOT NULL,
    size bigint NOT NULL,
    lineage json NOT NULL,
    place text NOT NULL,
    deleted_ns bigint,
    deleted_by text NOT NULL DEFAULT '',
    deleted_why text NOT NULL DEFAULT ''
)
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(_STATEMENT)


def downgrade() -> None:
    """Drop the table; the files stay."""
    op.execute("DROP TABLE model_versions")
