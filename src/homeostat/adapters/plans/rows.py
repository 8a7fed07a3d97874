"""The statements of a store of plans, which SQLite and PostgreSQL have in common.

Places of values are written `?`. The caller runs each function within a transaction that no other writer comes between.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

from homeostat.adapters.incidents.rows import Run
from homeostat.ports.plans import NoResponse, PlanBounds, PlansError, ResponseMoved
from homeostat.records.autonomy import Raised, Reach
from homeostat.records.incidents import Phase
from homeostat.records.plans import Remedy
from homeostat.records.response_text import Ruled, read_stored, stored_text
from homeostat.records.responses import Response

T = TypeVar("T")
_SOME = 200
_KEPT_NS = 86_400 * 10**9


def put(run: Run, response: Response, bounds: PlanBounds) -> None:
    """Store the next revision. Raises ResponseMoved."""
    text = stored_text(response)
    there = run("SELECT revision, text FROM responses WHERE incident = ?", (response.incident,))
    if there:
        revision, last = there[0]
        if response.revision == revision and text == last:
            return
        if response.revision != revision + 1:
            raise ResponseMoved(_read(last, Response))
        run(
            "UPDATE responses SET revision = ?, phase = ?, text = ? WHERE incident = ?",
            (response.revision, response.phase.value, text, response.incident),
        )
    else:
        if response.revision < 1:
            raise ValueError("the first revision of a response that is stored is 1")
        run(
            "INSERT INTO responses (incident, revision, phase, text) VALUES (?, ?, ?, ?)",
            (response.incident, response.revision, response.phase.value, text),
        )
    _put_plan(run, response)
    _prune(run, bounds)


def _put_plan(run: Run, response: Response) -> None:
    plan, findings, ruling = response.plan, response.findings, response.ruling
    if plan is None or findings is None or ruling is None:
        return
    text = stored_text(Ruled(plan, findings, ruling))
    there = run("SELECT 1 FROM ruled_plans WHERE hash = ?", (plan.hash,))
    if there:
        run("UPDATE ruled_plans SET at_ns = ?, text = ? WHERE hash = ?", (ruling.at_ns, text, plan.hash))
        return
    sql = "INSERT INTO ruled_plans (hash, incident, at_ns, text) VALUES (?, ?, ?, ?)"
    run(sql, (plan.hash, plan.incident, ruling.at_ns, text))


def get(run: Run, incident: str) -> Response:
    """See `Plans.get`. Raises NoResponse."""
    found = run("SELECT text FROM responses WHERE incident = ?", (incident,))
    if not found:
        raise no_response(incident)
    return _read(found[0][0], Response)


def responses(run: Run, phases: Collection[Phase], limit: int) -> list[Response]:
    """See `Plans.list`."""
    wanted = [phase.value for phase in phases or Phase]
    marks = ", ".join("?" * len(wanted))
    sql = f"SELECT text FROM responses WHERE phase IN ({marks}) ORDER BY number DESC LIMIT ?"  # noqa: S608
    return [_read(text, Response) for (text,) in run(sql, (*wanted, limit))]


def ruled(run: Run, since_ns: int, limit: int) -> list[Ruled]:
    """See `Plans.ruled`."""
    sql = "SELECT text FROM ruled_plans WHERE at_ns >= ? ORDER BY at_ns DESC, number DESC LIMIT ?"
    return [_read(text, Ruled) for (text,) in run(sql, (since_ns, limit))][::-1]


def put_word(run: Run, word: Raised) -> Raised:
    """See `Plans.raise_level`."""
    (last,) = run("SELECT coalesce(max(number), 0) FROM raised_levels")[0]
    word = replace(word, number=int(last) + 1)
    sql = "INSERT INTO raised_levels (number, remedy, reach, at_ns, actor, reason) VALUES (?, ?, ?, ?, ?, ?)"
    run(sql, (word.number, word.remedy.value, word.reach.value, word.at_ns, _plain(word.actor), _plain(word.reason)))
    return word


def words(run: Run) -> list[Raised]:
    """See `Plans.raised`."""
    found = run("SELECT remedy, reach, at_ns, actor, reason, number FROM raised_levels ORDER BY number")
    try:
        return [Raised(Remedy(a), Reach(b), int(at), actor, why, int(n)) for a, b, at, actor, why, n in found]
    except ValueError as error:
        raise PlansError(f"an owner's word is damaged or of a newer version ({error})") from error


def hold(run: Run, name: str, owner: str, now_ns: int, lease_s: float) -> int | None:
    """See `Plans.hold`. Leases that ended a day ago are deleted."""
    until_ns = now_ns + int(lease_s * 1e9)
    there = run("SELECT owner, until_ns, fence FROM response_leases WHERE name = ?", (name,))
    if there and there[0][0] == owner:
        run("UPDATE response_leases SET until_ns = ? WHERE name = ?", (until_ns, name))
        return int(there[0][2])
    if there and there[0][1] > now_ns:
        return None
    (last,) = run("SELECT coalesce(max(fence), 0) FROM response_leases")[0]
    sql = "DELETE FROM response_leases WHERE name = ? OR (until_ns < ? AND fence < ?)"  # The last fence stays.
    run(sql, (name, now_ns - _KEPT_NS, last))
    sql = "INSERT INTO response_leases (name, owner, until_ns, fence) VALUES (?, ?, ?, ?)"
    run(sql, (name, owner, until_ns, int(last) + 1))
    return int(last) + 1


def leave(run: Run, name: str, owner: str) -> None:
    """See `Plans.leave`."""
    run("UPDATE response_leases SET until_ns = 0 WHERE name = ? AND owner = ?", (name, owner))


def no_response(incident: str) -> NoResponse:
    """The error that nothing was done about an incident.

    >>> str(no_response("abc"))
    'there is no response to an incident abc'
    """
    return NoResponse(f"there is no response to an incident {incident}")


def _prune(run: Run, bounds: PlanBounds) -> None:
    over = f"SELECT number FROM responses WHERE phase = ? ORDER BY number DESC LIMIT {_SOME} OFFSET ?"  # noqa: S608
    for (number,) in run(over, (Phase.CLOSED.value, bounds.responses)):
        run("DELETE FROM responses WHERE number = ?", (number,))
    over = f"SELECT number FROM ruled_plans ORDER BY number DESC LIMIT {_SOME} OFFSET ?"  # noqa: S608
    for (number,) in run(over, (bounds.plans,)):
        run("DELETE FROM ruled_plans WHERE number = ?", (number,))


def _read(text: str, kind: type[T]) -> T:
    try:
        return read_stored(text, kind)
    except ValueError as error:
        raise PlansError(f"a response or plan is damaged or of a newer version ({error})") from error


def _plain(text: str) -> str:
    """A text that every database takes."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
