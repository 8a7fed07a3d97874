"""Ids and keys get a check beside their code, and all codes a secret, which whoever migrates first draws."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import numpy as np
from alembic import op
from sqlalchemy import text

from homeostat.adapters.journals import compression
from homeostat.records import codec, format1
from homeostat.records.decisions import DecisionBatch
from homeostat.records.identity import SECRET_BYTES, Coding
from homeostat.records.schemas import Schemas

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_HASHED_FROM = 1 << 62  # Codes from here on were hashes of texts, without a secret.
_ENTRIES = 64  # Bodies read at a time.
_READDED = """UPDATE event_ids SET code = new.code, code_check = new.code_check, keys = new.keys::bigint[],
    key_checks = new.key_checks::bigint[]
    FROM unnest(CAST(:rows AS int[]), CAST(:codes AS bigint[]), CAST(:checks AS bigint[]), CAST(:keys AS text[]),
        CAST(:key_checks AS text[])) AS new(row, code, code_check, keys, key_checks)
    WHERE event_ids.entry = :entry AND event_ids.row = new.row"""


def upgrade() -> None:
    """Add the columns, draw the secret, and give each event that named a text its new identity."""
    connection = op.get_bind()
    secret = secrets.token_bytes(SECRET_BYTES)
    connection.execute(text("INSERT INTO about VALUES ('secret', :secret)"), {"secret": secret.hex()})
    op.execute("ALTER TABLE event_ids ADD COLUMN code_check bigint NOT NULL DEFAULT 0, ADD COLUMN key_checks bigint[]")
    op.execute("ALTER TABLE event_ids DROP CONSTRAINT event_ids_pkey")
    op.execute("CREATE INDEX old_entries ON event_ids (entry)")
    coding = Coding(secret)
    for entry, body in _with_texts(connection, coding):
        _rename(connection, entry, body)
    op.execute("DROP INDEX old_entries")
    op.execute("ALTER TABLE event_ids ADD PRIMARY KEY (code, code_check)")


def _with_texts(connection: Any, coding: Coding) -> Iterator[tuple[int, DecisionBatch]]:
    """The entries that decided events whose ids or keys are texts."""
    sql = """SELECT DISTINCT entry FROM event_ids
        WHERE code >= :hashed OR EXISTS (SELECT FROM unnest(keys) AS key WHERE key >= :hashed) ORDER BY entry"""
    entries = [entry for (entry,) in connection.execute(text(sql), {"hashed": _HASHED_FROM})]
    sql = "SELECT sequence, codec, body FROM entries WHERE sequence = ANY(:entries)"
    for first in range(0, len(entries), _ENTRIES):
        for sequence, stored_as, stored in connection.execute(
            text(sql), {"entries": entries[first : first + _ENTRIES]}
        ).fetchall():
            raw = compression.unpack(stored_as, bytes(stored))
            if codec.head(raw).format != format1.FORMAT:
                continue
            body = codec.decode(raw, Schemas(coding=coding))
            assert isinstance(body, DecisionBatch), "event_ids names an entry of outcomes"
            yield sequence, body


def _rename(connection: Any, entry: int, body: DecisionBatch) -> None:
    events = body.events
    rows = np.arange(len(events)).tolist()

    def arrays(columns: Any) -> list[str | None]:
        return [
            f"{{{','.join(map(str, row))}}}" if any(row) or columns is events.keys else None for row in columns.tolist()
        ]

    connection.execute(text(_READDED), {
        "entry": entry, "rows": rows, "codes": events.id_code.tolist(), "checks": events.id_check.tolist(),
        "keys": arrays(events.keys), "key_checks": arrays(events.key_checks),
    })  # fmt: skip


def downgrade() -> None:
    """There is no way back: the codes of texts have changed."""
    raise NotImplementedError("step 0004 can't be undone: restore a backup from before it")
