"""The statements on the maintenance loop's lease and memory, which SQLite and PostgreSQL have in common.

They are run as those of `rows` are: within a transaction that no other writer comes between.
"""

from __future__ import annotations

import json

from homeostat.adapters.incidents.rows import Run
from homeostat.ports.incidents import IncidentsError
from homeostat.ports.maintenance import Lease, MaintenanceState

_PART_BYTES = 1 << 20  # One row holds so much of the memory, so that no statement is large.


def take(run: Run, owner: str, now_ns: int, lease_s: float) -> bool:
    """See `MaintenanceStore.take`."""
    rows = run("SELECT owner, until_ns FROM maintenance_lease")
    until_ns = now_ns + int(lease_s * 1e9)
    if not rows:
        state = json.dumps(MaintenanceState(began_ns=now_ns, at_ns=now_ns).as_json())
        run("INSERT INTO maintenance_lease (place, owner, until_ns, state) VALUES (1, ?, ?, ?)",
            (owner, until_ns, state))  # fmt: skip
        return True
    if rows[0][0] != owner and rows[0][1] > now_ns:
        return False
    run("UPDATE maintenance_lease SET owner = ?, until_ns = ?", (owner, until_ns))
    return True


def say(run: Run, owner: str, state: MaintenanceState, now_ns: int, lease_s: float) -> bool:
    """See `MaintenanceStore.say`."""
    if not holds(run, owner):
        return False
    text = json.dumps(state.as_json())
    run("UPDATE maintenance_lease SET until_ns = ?, state = ?", (now_ns + int(lease_s * 1e9), text))
    return True


def leave(run: Run, owner: str) -> None:
    """See `MaintenanceStore.leave`."""
    run("UPDATE maintenance_lease SET until_ns = 0 WHERE owner = ?", (owner,))


def holds(run: Run, owner: str) -> bool:
    """Whether nobody else has taken the lease since this process had it."""
    return bool(run("SELECT 1 FROM maintenance_lease WHERE owner = ?", (owner,)))


def lease(run: Run, now_ns: int) -> Lease | None:
    """See `MaintenanceStore.lease`. Raises IncidentsError."""
    rows = run("SELECT owner, until_ns, state FROM maintenance_lease")
    if not rows:
        return None
    owner, until_ns, text = rows[0]
    try:
        return Lease(str(owner), until_ns > now_ns, MaintenanceState.of_json(json.loads(text)))
    except (ValueError, TypeError, RecursionError) as error:
        raise IncidentsError(f"the state of the maintenance loop is damaged ({error})") from error


def saved(run: Run) -> bytes | None:
    """See `MaintenanceStore.saved`."""
    rows = run("SELECT body FROM maintenance_memory ORDER BY part")
    return b"".join(bytes(body) for (body,) in rows) if rows else None


def save(run: Run, memory: bytes) -> None:
    """Replace the memory."""
    run("DELETE FROM maintenance_memory")
    for part, start in enumerate(range(0, len(memory), _PART_BYTES)):
        body = memory[start : start + _PART_BYTES]
        run("INSERT INTO maintenance_memory (part, body) VALUES (?, ?)", (part, body))
