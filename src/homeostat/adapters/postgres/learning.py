"""The learner's store in PostgreSQL, beside the journal that it reads.

One row says who leads. Each write of the learner locks that row and compares its epoch first, so a former learner can't
publish, however late it wakes up: the state, the change and the comparison are one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat.adapters.postgres.connections import Connection, Connections
from homeostat.adapters.postgres.schema import migrate
from homeostat.adapters.postgres.settings import stored_in
from homeostat.ports.learning import LEASE_S, Asked, Deposed, Lead, LearnerStanding, Learnt, Publication, UnknownState
from homeostat.records.change_rows import checked
from homeostat.records.changes import Change

_PART_BYTES = 4 << 20
_SAVE_S = 120.0  # A learner that remembers ten million decisions saves some gigabytes.
_PERIODS_KEPT = 1000
_LEAD = """UPDATE learner SET epoch = epoch + 1, owner = %s, until_at = clock_timestamp() + make_interval(secs => %s)
    WHERE until_at <= clock_timestamp() RETURNING epoch"""
_NOTE = """UPDATE learner SET until_at = clock_timestamp() + make_interval(secs => %s), position = %s, behind = %s,
    moment_ns = %s, noted_at = clock_timestamp(), trouble = %s, number = %s,
    seen_at = coalesce(clock_timestamp() - make_interval(secs => %s), seen_at) WHERE epoch = %s"""
_STANDING = """SELECT owner, until_at > clock_timestamp(), position, behind, moment_ns,
    extract(epoch FROM clock_timestamp() - seen_at)::float8, extract(epoch FROM clock_timestamp() - noted_at)::float8,
    trouble, number FROM learner"""
_STATE = """INSERT INTO learner_states (digest, learner, content) VALUES (%s, %s, %s)
    ON CONFLICT (digest) DO UPDATE SET stored_at = excluded.stored_at"""
_DROP = """DELETE FROM learner_states AS old WHERE stored_at < to_timestamp(%(until)s / 1e9) AND NOT EXISTS (
    SELECT FROM settings_changes AS change WHERE kind = 'state' AND body ->> 'sha256' = old.digest
    AND number >= coalesce((SELECT max(number) FROM settings_changes AS earlier
         WHERE earlier.kind = 'state' AND earlier.scope = change.scope AND earlier.at_ns < %(until)s), 0))"""
_GRANTED = "SELECT granted FROM exploration_grants WHERE period = %s"


class PostgresLearning:
    """See `LearnedStates`."""

    def __init__(self, url: str, *, app: str = "", deadline_s: float = 5.0) -> None:
        """Make the tables where they are missing.

        Raises Unavailable; JournalError where the tables are another app's, or a newer version's; ValueError where the
        address can't be read.
        """
        self._connections = Connections(url, most=2, deadline_s=deadline_s)
        try:
            migrate(self._connections, app)
        except BaseException:
            self._connections.close()
            raise

    def lead(self, owner: str, lease_s: float = LEASE_S) -> Lead | None:
        """See `LearnedStates`."""
        row = self._row(_LEAD, owner, lease_s)
        return None if row is None else Lead(owner, int(row[0]))

    def note(self, lead: Lead, learnt: Learnt, lease_s: float = LEASE_S) -> None:
        """See `LearnedStates`."""
        values = (
            lease_s, learnt.position, learnt.behind, learnt.moment_ns, learnt.trouble.replace("\0", ""), learnt.number,
            learnt.seen_s, lead.epoch,
        )  # fmt: skip
        if self._connections.run(lambda connection: connection.execute(_NOTE, values).rowcount) != 1:
            raise _deposed(lead)

    def resign(self, lead: Lead) -> None:
        """See `LearnedStates`."""
        sql = "UPDATE learner SET until_at = '-infinity' WHERE epoch = %s"
        self._connections.run(lambda connection: connection.execute(sql, (lead.epoch,)))

    def publish(self, lead: Lead, states: Sequence[Publication]) -> list[Change]:
        """See `LearnedStates`."""
        wanted = [(checked(one.change), one) for one in states]

        def store(connection: Connection) -> list[Change]:
            with connection.transaction():
                _fence(connection, lead)
                for change, one in wanted:
                    assert change.body is not None
                    connection.execute(_STATE, (change.body["sha256"], change.scope, one.content))
                return [stored_in(connection, change, one.expected)[0] for change, one in wanted]

        return self._connections.run(store)

    def save(self, lead: Lead, content: bytes) -> None:
        """See `LearnedStates`."""

        def store(connection: Connection) -> None:
            with connection.transaction():
                _fence(connection, lead)
                connection.execute("DELETE FROM learner_saved")
                for part, start in enumerate(range(0, len(content), _PART_BYTES)):
                    sql = "INSERT INTO learner_saved VALUES (%s, %s)"
                    connection.execute(sql, (part, content[start : start + _PART_BYTES]))

        self._connections.run(store, deadline_s=_SAVE_S)

    def saved(self) -> bytes | None:
        """See `LearnedStates`."""

        def load(connection: Connection) -> list[bytes]:
            sql = "SELECT content FROM learner_saved ORDER BY part"
            return [bytes(content) for (content,) in connection.execute(sql, binary=True).fetchall()]

        return b"".join(self._connections.run(load, deadline_s=_SAVE_S)) or None

    def state(self, digest: str) -> bytes:
        """See `LearnedStates`."""
        row = self._row("SELECT content FROM learner_states WHERE digest = %s", digest)
        if row is None:
            raise UnknownState(f"{self._connections.where} has no learned state {digest[:12]}")
        return bytes(row[0])

    def drop(self, before_ns: int) -> int:
        """See `LearnedStates`."""

        def delete(connection: Connection) -> int:
            sql = "DELETE FROM exploration_grants WHERE period <= (SELECT max(period) FROM exploration_grants) - %s"
            connection.execute(sql, (_PERIODS_KEPT,))
            return int(connection.execute(_DROP, {"until": before_ns}).rowcount)

        return self._connections.run(delete)

    def standing(self) -> LearnerStanding:
        """See `LearnedStates`."""
        row = self._row(_STANDING)
        assert row is not None, "a migration puts it there"
        return LearnerStanding(*row)

    def ask(self, asked: Asked) -> None:
        """See `LearnedStates`."""
        values = (asked.moment_ns, asked.after, asked.moment_ns)
        sql = "UPDATE learner_asked SET moment_ns = %s, after = %s WHERE moment_ns < %s"
        self._connections.run(lambda connection: connection.execute(sql, values))

    def asked(self) -> Asked:
        """See `LearnedStates`."""
        row = self._row("SELECT moment_ns, after FROM learner_asked")
        assert row is not None, "a migration puts it there"
        return Asked(*row)

    def grant(self, period: int, amount: float, budget: float) -> float:
        """See `LearnedStates`."""

        def take(connection: Connection) -> float:
            with connection.transaction():
                sql = "INSERT INTO exploration_grants VALUES (%s, 0) ON CONFLICT DO NOTHING"
                connection.execute(sql, (period,))
                row = connection.execute(_GRANTED + " FOR UPDATE", (period,)).fetchone()
                before = 0.0 if row is None else float(row[0])
                given = max(0.0, min(amount, budget - before)) if amount > 0 else max(amount, -before)
                sql = "UPDATE exploration_grants SET granted = %s WHERE period = %s"
                connection.execute(sql, (before + given, period))
                return given

        return self._connections.run(take)

    def granted(self, period: int) -> float:
        """See `LearnedStates`."""
        row = self._row(_GRANTED, period)
        return 0.0 if row is None else float(row[0])

    def close(self) -> None:
        """See `LearnedStates`."""
        self._connections.close()

    def _row(self, sql: str, *values: Any) -> Any:
        return self._connections.run(lambda connection: connection.execute(sql, values).fetchone())


def _fence(connection: Connection, lead: Lead) -> None:
    """Let nobody else take the lead during this transaction. Raises Deposed."""
    row = connection.execute("SELECT epoch FROM learner FOR UPDATE").fetchone()
    if row is None or row[0] != lead.epoch:
        raise _deposed(lead)


def _deposed(lead: Lead) -> Deposed:
    return Deposed(f"another process leads the learning by now, no longer {lead.owner}")
