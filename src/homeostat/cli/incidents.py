"""`homeostat incidents`: what was noticed, how much it matters, and the words of people on it."""

from __future__ import annotations

import sys
from json import dumps
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from homeostat.cli.answering import approve, edit, reject
from homeostat.cli.failures import CommandError
from homeostat.cli.options import Instant, Json, Stored
from homeostat.cli.plan_stores import found_incident, incidents_of, plans_of
from homeostat.cli.post_mortem import report
from homeostat.cli.version_stores import Actor, Config, Data, actor_of

if TYPE_CHECKING:
    from homeostat.ports.incidents import Incidents
    from homeostat.records.incidents import Incident

incidents = App(name="incidents", help="Show, silence, answer and close incidents", help_format="plaintext")
incidents.command(approve)
incidents.command(reject)
incidents.command(edit)
incidents.command(report)
_UNWATCHED = "no incidents: nobody has watched this record yet. Run `homeostat maintain APP` on it"
Limit = Annotated[Stored, Parameter(help="How many to show, the newest first.")]
Below = Annotated[Stored | None, Parameter(help="Only those with smaller numbers.")]
Reason = Annotated[str, Parameter(help="Why, for those who look later. Needed.")]
Expected = Annotated[
    Stored | None, Parameter(help="The revision that you saw; nothing is changed where there is a later one.")
]


@incidents.command(name="list")
def list_(
    *,
    state: Annotated[Literal["open", "closed", "all"], Parameter(help="Open incidents, closed ones, or all.")] = "open",
    limit: Limit = 50,
    below: Below = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show incidents, newest first."""
    from homeostat.maintain.incident.wording import headline
    from homeostat.records.incident_shown import shown_incident
    from homeostat.records.incidents import Phase
    from homeostat.records.times import time_text

    _at_least_none(limit)
    wanted = [phase for phase in Phase if state == "all" or (phase == Phase.CLOSED) == (state == "closed")]
    with incidents_of(data, config) as store:
        found = store.list(wanted, limit, below)
        watched = bool(found) or store.saved() is not None
    if json:
        print(dumps({"incidents": [{"number": kept.number, **shown_incident(kept.incident)} for kept in found]}))
        return
    for kept in found:
        one = kept.incident
        hushed = ", silenced" if one.silenced_until_ns > one.updated_ns else ""
        print(f"{one.id}  {time_text(one.since_ns)}  {one.phase}{hushed}  {headline(one)}")
    if not found:
        print("no incidents" if watched else _UNWATCHED)


@incidents.command
def show(id: str, /, *, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show one incident: its suspects, signals, impact and history.

    Parameters
    ----------
    id
        As `homeostat incidents list` shows it, or the beginning of it.
    """
    from homeostat.adapters.process.printable import printable
    from homeostat.engine.post_mortems import response_of
    from homeostat.maintain.incident.wording import story
    from homeostat.records.advice_words import worded_advice
    from homeostat.records.findings_text import worded_findings
    from homeostat.records.incident_shown import shown_change, whole_incident
    from homeostat.records.incidents import FINDINGS
    from homeostat.records.response_words import worded_response

    with incidents_of(data, config) as store, plans_of(data, config) as plans:
        one = found_incident(store, id)
        response = response_of(plans, one.id)
        signals = store.signals_of(one.signals)
        history = [shown_change(each.number, each.actor, each.incident) for each in store.history(one.id)]
    if json:
        print(dumps(whole_incident(one, signals, history, response)))
        return
    print(f"incident {one.id}, revision {one.revision}")
    print(story(one, signals))
    if FINDINGS in one.notes:
        print(worded_findings(one.notes[FINDINGS]))
    if response is not None:
        print(worded_response(response))
    if advice := worded_advice(one.notes):
        print(printable(advice, lines=True))
    for each in history:
        why = f": {each['reason']}" if each["reason"] else ""
        print(
            f"revision {each['revision']}: {each['at']}  {each['phase']}, {each['severity']}, by {each['actor']}{why}"
        )


@incidents.command
def close(
    id: str,
    /,
    *,
    reason: Reason = "",
    expected: Expected = None,
    actor: Actor = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Close an incident. It is opened again only where one of its signals ends and comes back.

    Parameters
    ----------
    id
        As `homeostat incidents list` shows it, or the beginning of it.
    """
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.records.incident_shown import shown_incident
    from homeostat.records.incidents import Phase

    _worded(reason)
    with incidents_of(data, config) as store:
        one = _seen(store, id, expected)
        if one.phase == Phase.CLOSED:
            raise CommandError(f"incident {one.id} is closed already: {one.reason}")
        made = one.closed(reason, SystemClock().now_ns())
        store.write([], [made], actor_of(actor))
    print(dumps(shown_incident(made)) if json else f"incident {made.id} is closed")


@incidents.command
def silence(
    id: str | None = None,
    /,
    *,
    reason: Reason = "",
    span: Annotated[str | None, Parameter("--for", help="How long, such as 2h.")] = None,
    until: Instant = None,
    node: Annotated[
        str | None, Parameter(help="Instead of one incident: signals at such a node, as in field:*.")
    ] = None,
    kind: Annotated[
        str | None, Parameter(help="Instead of one incident: signals of such a kind, as in volume.")
    ] = None,
    expected: Expected = None,
    actor: Actor = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Let nobody hear of an incident for a while, or of all whose signals are at some node or of some kind.

    A later silence of the same node and kind takes the place of the earlier one: with --for 0s it ends at once.

    Parameters
    ----------
    id
        As `homeostat incidents list` shows it, or the beginning of it.
    """
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.maintain.incident.patterns import doubts, unknown_kind
    from homeostat.records.incident_shown import shown_incident, shown_silence
    from homeostat.records.incidents import Silence
    from homeostat.records.times import time_text

    _worded(reason)
    now_ns = SystemClock().now_ns()
    until_ns, who = _end(span, until, now_ns), actor_of(actor)
    patterns = node is not None or kind is not None
    if patterns == (id is not None):
        raise CommandError("silence one incident by its id, or signals by --node and --kind: give one of them")
    unmeant = "" if kind is None else unknown_kind(kind)
    if unmeant:
        raise CommandError(unmeant)
    with incidents_of(data, config) as store:
        if id is None:
            seen = (kept.signal.series.node for kept in store.signals(limit=10_000))
            for warning in doubts(node or "*", kind or "*", seen):
                print(f"homeostat: warning: {warning}", file=sys.stderr)
            made = store.silence(Silence.of(node or "*", kind or "*", now_ns, until_ns, who, reason))
            print(
                dumps(shown_silence(made)) if json else f"silent until {time_text(until_ns)}: {made.node} {made.kind}"
            )
            return
        one = _seen(store, id, expected).silenced(until_ns, reason, now_ns)
        store.write([], [one], who)
    print(dumps(shown_incident(one)) if json else f"incident {one.id} is silent until {time_text(until_ns)}")


@incidents.command
def silences(*, data: Data = None, config: Config = None, json: Json = False) -> None:
    """Show the silences that hold."""
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.records.incident_shown import shown_silence

    with incidents_of(data, config) as store:
        found = [shown_silence(one) for one in store.silences(SystemClock().now_ns())]
    if json:
        print(dumps({"silences": found}))
        return
    for one in found:
        print(f"{one['node']} {one['kind']}  until {one['until']}  by {one['actor']}: {one['reason']}")
    if not found:
        print("no silences")


@incidents.command
def deliveries(
    *, limit: Limit = 50, below: Below = None, data: Data = None, config: Config = None, json: Json = False
) -> None:
    """Show the log of announcements, newest first."""
    from homeostat.records.incident_shown import shown_delivery

    _at_least_none(limit)
    with incidents_of(data, config) as store:
        found = [shown_delivery(one) for one in store.deliveries(limit, below)]
    if json:
        print(dumps({"deliveries": found}))
        return
    for one in found:
        why = f": {one['error']}" if one["error"] else ""
        print(
            f"{one['number']}  {one['made']}  {one['incident']} {one['news']} to {one['channel']}  {one['state']}, "
            f"{one['attempts']} tries{why}"
        )
    if not found:
        print("no deliveries")


def _seen(store: Incidents, id: str, expected: int | None) -> Incident:
    """The incident, where its revision is the one that the author saw. Raises IncidentMoved."""
    from homeostat.ports.incidents import IncidentMoved

    one = found_incident(store, id)
    if expected is not None and one.revision != expected:
        raise IncidentMoved(one)
    return one


def _end(span: str | None, until: str | None, now_ns: int) -> int:
    """The end of a silence. Raises CommandError."""
    from homeostat.cli.instants import instant
    from homeostat.config.scalars import duration_ns

    if (span is None) == (until is None):
        raise CommandError("a silence ends: say when, by --for 2h or by --until TIME")
    try:
        end = now_ns + duration_ns(span) if span is not None else instant(until)
    except ValueError as error:
        raise CommandError(str(error)) from error
    assert end is not None
    return end


def _worded(reason: str) -> None:
    if not reason.strip():
        raise CommandError(
            "a reason is needed, for those who look later and ask why nobody heard of it: give --reason 'a sentence'"
        )
    if len(reason) > 1000:
        raise CommandError(f"--reason has {len(reason):,} characters: a sentence of at most 1,000 is kept")


def _at_least_none(limit: int) -> None:
    if limit < 0:
        raise CommandError("--limit is how many to show: 0 or more")
