"""`homeostat gate`: why a plan may or may not be carried out, and what other limits would have allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.gate_audit import audit
from homeostat.cli.gate_switch import resume, state, stop
from homeostat.cli.options import Json
from homeostat.cli.plan_stores import AppName, answering_of, plans_of
from homeostat.cli.version_stores import Actor, Config, Data, actor_of, worded

if TYPE_CHECKING:
    from homeostat.config.gate import GateSpec
    from homeostat.records.plans import Ruling

gate = App(name="gate", help="Explain rulings on plans, and try other limits", help_format="plaintext")
gate.command(audit)
gate.command(stop)
gate.command(resume)
gate.command(state)
DAY_NS = 86_400 * 10**9


@gate.command
def explain(
    what: str | None = None,
    /,
    *,
    app: AppName = None,
    example: Annotated[
        bool, Parameter(help="Print a file of JSON to begin with, and nothing else.", negative="")
    ] = False,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show each rule of the gate on a plan: the figure that it saw, its limit, and its sentence.

    Parameters
    ----------
    what
        A file of JSON with `plan`, `findings` and, if wanted, `history` and `at_ns`; or an incident, whose stored
        ruling is shown.
    """
    from homeostat.records.response_text import shown_plan, shown_ruling

    if example:
        from homeostat.cli.gate_example import example_file

        print(dumps(example_file(), indent=1))
        return
    if what is None:
        raise CommandError("which plan? Give a file of JSON (--example prints one to begin with), or an incident")
    path = Path(what)
    if data is None and config is None:
        plan, ruling = _of_file(path, app)
    else:
        from homeostat.cli.unplanned import unplanned
        from homeostat.ports.plans import NoResponse

        response = None
        with plans_of(data, config) as store, suppress(NoResponse):
            response = store.get(what)
        if response is None or response.plan is None or response.ruling is None:
            raise unplanned(what, response, data, config)
        plan, ruling = response.plan, response.ruling
    if json:
        print(dumps({"plan": shown_plan(plan), "gate": shown_ruling(ruling)}))
        return
    steps = ", then ".join(f"{step.remedy} at {step.scope}" for step in plan.steps) or "nothing"
    print(f"plan {plan.hash} of incident {plan.incident}: {steps}")
    _print(ruling)


@gate.command
def simulate(
    *,
    app: AppName = None,
    levels: Annotated[
        list[str] | None,
        Parameter(help="assisted, supervised or full for all kinds of action, or KIND=LEVEL; several if wanted."),
    ] = None,
    days: Annotated[float, Parameter(help="How far to look back from the newest plan.")] = 30.0,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Rule again on stored plans, at other levels of autonomy, and show what would have been done."""
    from homeostat.app.gating import limits_of
    from homeostat.maintain.beside import history_of
    from homeostat.maintain.gate.simulation import ruled_again

    if not 0 < days <= 10_000:
        raise CommandError("--days is how far to look back: more than 0, at most 10,000")
    spec = _with_levels(_spec(app), levels or [])
    with plans_of(data, config) as store:
        everything = store.ruled(0, 10_000)
        responses, words = store.list(limit=10_000), store.raised()
    since_ns = everything[-1].ruling.at_ns - int(days * DAY_NS) if everything else 0
    plans = [one for one in everything if one.ruling.at_ns >= since_ns]
    done = history_of(responses)
    verdicts = {one.plan: one.verdict for one in done if one.verdict is not None}
    before = [one for one in done if one.at_ns < since_ns]
    found = ruled_again(plans, limits_of(spec, words), verdicts, before)
    rows: list[dict[str, Any]] = [
        {
            "incident": one.before.plan.incident, "plan": one.before.plan.hash, "at_ns": one.after.at_ns,
            "steps": [f"{step.remedy} at {step.scope}" for step in one.before.plan.steps],
            "was": str(one.before.ruling.tier), "would_be": str(one.after.tier),
            "rules": [spoke.rule for spoke in one.after.rules if spoke.tier == one.after.tier != "execute"],
        }
        for one in found
    ]  # fmt: skip
    counts = {key: dict(Counter(str(row[key]) for row in rows)) for key in ("was", "would_be")}
    if json:
        print(dumps({"days": days, "plans": rows, **counts}))
        return
    for row in rows:
        why = f" ({', '.join(row['rules'])})" if row["rules"] else ""
        print(f"{row['incident']}  {row['was']} -> {row['would_be']}{why}  {', then '.join(row['steps'])}")
    shown = {key: ", ".join(f"{n} {tier}" for tier, n in sorted(found.items())) for key, found in counts.items()}
    print(f"{len(rows)} plans: {shown['was']}; they would be {shown['would_be']}" if rows else "no plans")


@gate.command(name="raise")
def raise_(
    kind: str,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, for those who look later.")],
    reach: Annotated[Literal["app", "segment"], Parameter(help="Where the action reaches.")] = "app",
    drill: Annotated[
        Path | None, Parameter(help="The folder or summary.json of a drill: its record of this kind is shown and kept.")
    ] = None,
    actor: Actor = None,
    data: Data = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Give a kind of action its declared level again, after failures have lowered it.

    Parameters
    ----------
    kind
        Such as convert or retrain: docs/gate.md lists them.
    """
    from dataclasses import asdict

    from homeostat.adapters.process.clock import SystemClock
    from homeostat.jobs.drill.kind_record import record_of
    from homeostat.maintain.gate.answers import same_person
    from homeostat.ports.incidents import LOOP
    from homeostat.records.autonomy import Raised, Reach
    from homeostat.records.plans import Remedy

    _known(kind)
    worded(reason)
    who = actor_of(actor)
    if same_person(who, LOOP):
        raise CommandError(f"{LOOP} can't raise its own level: an owner does, by --actor NAME")
    try:
        record = None if drill is None else record_of(drill, kind)
    except ValueError as error:
        raise CommandError(str(error)) from error
    word = Raised(Remedy(kind), Reach(reach), SystemClock().now_ns(), who, reason)
    with answering_of(None, data, config) as answering:
        try:
            made = answering.raise_level(word, "" if record is None else record.text)
        except ValueError as error:
            raise CommandError(str(error)) from error
    if json:
        print(dumps({**asdict(made), "drill": None if record is None else asdict(record)}))
        return
    print(f"{kind} at {reach} has its declared level again")
    print(record.text if record is not None else "no drill's record was looked at: give --drill DIR to see one")


def _of_file(path: Path, app: str | None) -> tuple[Any, Ruling]:
    """The plan of a file and the ruling on it. Raises CommandError."""
    from homeostat.app.gating import gate_of
    from homeostat.records.findings import Findings
    from homeostat.records.plans import Done, Plan
    from homeostat.records.response_text import read_dict

    try:
        found = loads(path.read_bytes())
    except OSError as error:
        raise CommandError(
            f"{path} can't be read: {error.strerror}; for an incident, name --data FOLDER or --config FILE"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict) or not {"plan", "findings"} <= found.keys():
        raise CommandError(f"{path} is no plan: it needs `plan` and `findings`, as --example prints them")
    try:
        plan, findings = read_dict(found["plan"], Plan), read_dict(found["findings"], Findings)
        history = [read_dict(one, Done) for one in found.get("history", [])]
    except (ValueError, TypeError) as error:
        raise CommandError(f"{path}: {error}; --example prints a whole one") from error
    at_ns = found.get("at_ns", plan.at_ns)
    if not isinstance(at_ns, int) or isinstance(at_ns, bool) or not abs(at_ns) < 1 << 62:
        raise CommandError(f"{path}: at_ns is a time in nanoseconds since 1970")
    return plan, gate_of(_spec(app)).rule(plan, findings, history, at_ns)


def _spec(app: str | None) -> GateSpec:
    """The limits of an app. Raises CommandError without one."""
    if app is None:
        raise CommandError("whose limits? Give --app, a shipped app or an app file")
    from homeostat.config.load import load_app

    return load_app(app).maintain.gate


def _with_levels(spec: GateSpec, levels: Sequence[str]) -> GateSpec:
    """The limits with other levels. Raises CommandError."""
    from homeostat.config.faults import nearest

    names = ("assisted", "supervised", "full")
    for text in levels:
        kind, _, level = text.rpartition("=")
        if level not in names:
            meant = nearest(level, names)
            hint = f"; did you mean {meant}?" if meant else ""
            raise CommandError(f"there is no level {level!r}{hint} Known: {', '.join(names)}")
        if kind:
            _known(kind)
            spec = spec.model_copy(update={"autonomy": {**spec.autonomy, kind: level}})
        else:
            spec = spec.model_copy(update={"level": level, "autonomy": {}})
    return spec


def _known(kind: str) -> None:
    from homeostat.config.faults import nearest
    from homeostat.config.gate_faults import ACTING

    if kind not in ACTING:
        meant = nearest(kind, ACTING)
        hint = f"; did you mean {meant}?" if meant else ""
        raise CommandError(f"there is no kind of action {kind!r}{hint} Known: {', '.join(ACTING)}")


def _print(ruling: Ruling) -> None:
    print(f"the gate rules {ruling.tier}")
    for spoke in ruling.rules:
        mark = "agrees" if spoke.tier == "execute" else f"asks to {spoke.tier}"
        print(f"  {spoke.rule:16} {mark:16} {spoke.why} (saw {spoke.value:.6g}, limit {spoke.limit:.6g})")
