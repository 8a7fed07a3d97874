"""The statements of a store of incidents, which SQLite and PostgreSQL have in common.

Places of values are written `?`. The caller runs each function within a transaction that no other writer comes between,
so that numbers are in the order of commits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

from homeostat.ports.incidents import (
    Bounds,
    IncidentChange,
    IncidentMoved,
    IncidentsError,
    Kept,
    KeptSignal,
    SilenceMoved,
    unknown,
)
from homeostat.records.deliveries import Delivery, DeliveryState, News
from homeostat.records.incident_text import (
    dict_of,
    incident_dict,
    read_incident,
    read_signal,
    read_silence,
    signal_dict,
    silence_dict,
    text_of,
)
from homeostat.records.incidents import Incident, Phase, Silence
from homeostat.records.signals import Signal

_LAST = (1 << 63) - 1
_SOME = 200  # Values in one statement.
_DELIVERY = (
    "key", "channel", "incident", "revision", "news", "made_ns", "state", "attempts", "next_ns", "ended_ns", "error",
)  # fmt: skip
_DELIVERIES = f"SELECT {', '.join(_DELIVERY)}, number FROM incident_deliveries"  # noqa: S608 - names of ours.
_WAITING, _CLOSED = DeliveryState.WAITING.value, Phase.CLOSED.value


class Run(Protocol):
    """Runs one statement; the rows that it returns, none where it returns none."""

    def __call__(self, sql: str, values: Sequence[Any] = ()) -> Sequence[Sequence[Any]]: ...


def put_all(
    run: Run, signals: Sequence[Signal], incidents: Sequence[Incident], actor: str, bounds: Bounds
) -> None:  # fmt: skip
    """Store signals and revisions of incidents, in their order. Raises IncidentMoved."""
    new = [put_signal(run, one) for one in signals]
    new += [put_incident(run, one, actor) for one in incidents]
    if any(new):
        prune(run, bounds)


def put_signal(run: Run, signal: Signal) -> bool:
    """Store a signal, or its news; whether it is a new one."""
    there = run("SELECT at_ns FROM signals WHERE id = ?", (signal.id,))
    text = text_of(signal_dict(signal))
    if not there:
        run(
            "INSERT INTO signals (id, at_ns, still, text) VALUES (?, ?, ?, ?)",
            (signal.id, signal.at_ns, int(signal.still), text),
        )
        return True
    if signal.at_ns >= there[0][0]:
        sql = "UPDATE signals SET at_ns = ?, still = ?, text = ? WHERE id = ?"
        run(sql, (signal.at_ns, int(signal.still), text, signal.id))
    return False


def put_incident(run: Run, incident: Incident, actor: str) -> bool:
    """Store the next revision of an incident; whether it was not stored yet. Raises IncidentMoved."""
    text = text_of(incident_dict(incident))
    there = run("SELECT revision, text FROM incidents WHERE id = ?", (incident.id,))
    if there:
        revision, last = there[0]
        if incident.revision != revision + 1:
            sql = "SELECT text FROM incident_changes WHERE incident = ? AND revision = ?"
            done = run(sql, (incident.id, incident.revision))
            if done and done[0][0] == text:
                return False
            raise IncidentMoved(_incident(last))
        run(
            "UPDATE incidents SET revision = ?, phase = ?, updated_ns = ?, text = ? WHERE id = ?",
            (incident.revision, incident.phase.value, incident.updated_ns, text, incident.id),
        )
    else:
        run(
            "INSERT INTO incidents (id, revision, phase, updated_ns, text) VALUES (?, ?, ?, ?, ?)",
            (incident.id, incident.revision, incident.phase.value, incident.updated_ns, text),
        )
    sql = "INSERT INTO incident_changes (incident, revision, actor, text) VALUES (?, ?, ?, ?)"
    run(sql, (incident.id, incident.revision, _plain(actor), text))
    return True


def get(run: Run, id: str) -> Incident:
    """The last revision. Raises UnknownIncident."""
    rows = run("SELECT text FROM incidents WHERE id = ?", (id,))
    if not rows:
        raise unknown(id)
    return _incident(rows[0][0])


def incidents(run: Run, phases: Collection[Phase], limit: int, below: int | None) -> list[Kept]:
    """See `Incidents.list`."""
    wanted = [phase.value for phase in phases or Phase]
    marks = ", ".join("?" * len(wanted))
    sql = f"SELECT number, text FROM incidents WHERE phase IN ({marks}) AND number < ? ORDER BY number DESC LIMIT ?"  # noqa: S608
    rows = run(sql, (*wanted, _LAST if below is None else below, limit))
    return [Kept(int(number), _incident(text)) for number, text in rows]


def history(run: Run, id: str) -> list[IncidentChange]:
    """See `Incidents.history`."""
    rows = run("SELECT number, actor, text FROM incident_changes WHERE incident = ? ORDER BY revision", (id,))
    if not rows:
        raise unknown(id)
    return [_change(row) for row in rows]


def changes(run: Run, after: int, limit: int) -> list[IncidentChange]:
    """See `Incidents.changes`."""
    sql = "SELECT number, actor, text FROM incident_changes WHERE number > ? ORDER BY number LIMIT ?"
    return [_change(row) for row in run(sql, (after, limit))]


def signals(run: Run, limit: int, below: int | None) -> list[KeptSignal]:
    """See `Incidents.signals`."""
    sql = "SELECT number, text FROM signals WHERE number < ? ORDER BY number DESC LIMIT ?"
    rows = run(sql, (_LAST if below is None else below, limit))
    return [KeptSignal(int(number), _signal(text)) for number, text in rows]


def signals_of(run: Run, ids: Collection[str]) -> list[Signal]:
    """See `Incidents.signals_of`."""
    wanted, found = sorted(set(ids)), list[Signal]()
    for start in range(0, len(wanted), _SOME):
        some = wanted[start : start + _SOME]
        marks = ", ".join("?" * len(some))
        found += [_signal(text) for (text,) in run(f"SELECT text FROM signals WHERE id IN ({marks})", some)]  # noqa: S608
    return sorted(found, key=lambda one: (one.since_ns, one.id))


def put_silence(run: Run, one: Silence, expected: int | None) -> Silence:
    """See `Incidents.silence`. Raises SilenceMoved."""
    there = [_silence(text) for (text,) in run("SELECT text FROM incident_silences WHERE id = ?", (one.id,))]
    last = there[0] if there else None
    if last is not None and one.key and last.key == one.key:
        return last
    revision = 0 if last is None else last.revision
    if expected is not None and expected != revision:
        raise SilenceMoved(last)
    one = replace(one, revision=revision + 1)
    run("DELETE FROM incident_silences WHERE id = ?", (one.id,))
    sql = "INSERT INTO incident_silences (id, until_ns, text) VALUES (?, ?, ?)"
    run(sql, (one.id, one.until_ns, text_of(silence_dict(one))))
    return one


def silences(run: Run, at_ns: int | None) -> list[Silence]:
    """See `Incidents.silences`."""
    sql = "SELECT text FROM incident_silences WHERE until_ns > ? ORDER BY until_ns, id"
    return [_silence(text) for (text,) in run(sql, (-_LAST if at_ns is None else at_ns,))]


def plan(run: Run, deliveries: Sequence[Delivery], up_to: int) -> None:
    """See `Incidents.plan`."""
    marks = ", ".join("?" * len(_DELIVERY))
    for one in deliveries:
        if not run("SELECT 1 FROM incident_deliveries WHERE key = ?", (one.key,)):
            values = asdict(one)
            run(
                f"INSERT INTO incident_deliveries ({', '.join(_DELIVERY)}) VALUES ({marks})",  # noqa: S608
                [str(values[name]) if name in ("news", "state") else values[name] for name in _DELIVERY],
            )
    if up_to > planned(run):
        run("UPDATE incident_cursor SET value = ? WHERE name = 'planned'", (up_to,))


def planned(run: Run) -> int:
    """See `Incidents.planned`."""
    rows = run("SELECT value FROM incident_cursor WHERE name = 'planned'")
    return int(rows[0][0]) if rows else 0


def claim(run: Run, now_ns: int, lease_ns: int, limit: int) -> list[Delivery]:
    """See `Incidents.claim`."""
    sql = f"{_DELIVERIES} WHERE state = '{_WAITING}' AND next_ns <= ? ORDER BY number LIMIT ?"
    taken = []
    for row in run(sql, (now_ns, limit)):
        found = _delivery(row)
        one = replace(found, attempts=found.attempts + 1, next_ns=now_ns + lease_ns)
        sql = "UPDATE incident_deliveries SET attempts = ?, next_ns = ? WHERE key = ?"
        run(sql, (one.attempts, one.next_ns, one.key))
        taken.append(one)
    return taken


def report(run: Run, one: Delivery) -> bool:
    """See `Incidents.report`."""
    sql = f"SELECT 1 FROM incident_deliveries WHERE key = ? AND attempts = ? AND state = '{_WAITING}'"  # noqa: S608
    if not run(sql, (one.key, one.attempts)):
        return False
    run(
        "UPDATE incident_deliveries SET state = ?, next_ns = ?, ended_ns = ?, error = ? WHERE key = ?",
        (one.state.value, one.next_ns, one.ended_ns, _plain(one.error), one.key),
    )
    return True


def deliveries(run: Run, limit: int, below: int | None) -> list[Delivery]:
    """See `Incidents.deliveries`."""
    sql = f"{_DELIVERIES} WHERE number < ? ORDER BY number DESC LIMIT ?"
    return [_delivery(row) for row in run(sql, (_LAST if below is None else below, limit))]


def prune(run: Run, bounds: Bounds) -> None:
    """Delete what is over and beyond the bounds."""
    ended = f"SELECT id FROM incidents WHERE phase = '{_CLOSED}' ORDER BY number DESC LIMIT {_SOME} OFFSET ?"  # noqa: S608
    for (id,) in run(ended, (bounds.incidents,)):
        run("DELETE FROM incident_changes WHERE incident = ?", (id,))
        run("DELETE FROM incidents WHERE id = ?", (id,))
    for table, over, most in (
        ("signals", "still = 0", bounds.signals),
        ("incident_deliveries", f"state <> '{_WAITING}'", bounds.deliveries),
    ):
        rows = run(f"SELECT number FROM {table} ORDER BY number DESC LIMIT 1 OFFSET ?", (most,))  # noqa: S608
        if rows:
            run(f"DELETE FROM {table} WHERE number <= ? AND {over}", (rows[0][0],))  # noqa: S608
    rows = run("SELECT until_ns FROM incident_silences ORDER BY until_ns DESC LIMIT 1 OFFSET ?", (bounds.silences,))
    if rows:
        run("DELETE FROM incident_silences WHERE until_ns <= ?", (rows[0][0],))


def _incident(text: str) -> Incident:
    try:
        return read_incident(dict_of(text))
    except ValueError as error:
        raise IncidentsError(f"an incident is damaged or of a newer version ({error})") from error


def _signal(text: str) -> Signal:
    try:
        return read_signal(dict_of(text))
    except ValueError as error:
        raise IncidentsError(f"a signal is damaged or of a newer version ({error})") from error


def _silence(text: str) -> Silence:
    try:
        return read_silence(dict_of(text))
    except ValueError as error:
        raise IncidentsError(f"a silence is damaged or of a newer version ({error})") from error


def _change(row: Sequence[Any]) -> IncidentChange:
    return IncidentChange(int(row[0]), str(row[1]), _incident(row[2]))


def _delivery(row: Sequence[Any]) -> Delivery:
    found = dict(zip((*_DELIVERY, "number"), row, strict=True))
    try:
        return Delivery(**{**found, "news": News(found["news"]), "state": DeliveryState(found["state"])})
    except ValueError as error:
        raise IncidentsError(f"a delivery is damaged or of a newer version ({error})") from error


def _plain(text: str) -> str:
    """A text that every database takes."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
