"""`homeostat incidents approve`, `reject` and `edit`: a person's word on a plan that the gate handed over."""

from __future__ import annotations

from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json
from homeostat.cli.plan_stores import AppName, answering_of
from homeostat.cli.version_stores import Actor, Config, Data, actor_of, worded

if TYPE_CHECKING:
    from homeostat.records.plans import Remedy

PlanHash = Annotated[str, Parameter("--plan", help="The hash of the plan that you saw; another plan is not answered.")]
Reason = Annotated[str, Parameter(help="Why, for those who look later.")]


def approve(
    id: str, /, *, plan: PlanHash, reason: Reason, app: AppName = None, actor: Actor = None, data: Data = None,
    config: Config = None, json: Json = False,
) -> None:  # fmt: skip
    """Approve the plan of an incident, which is then carried out.

    Nothing is approved where the plan or the settings have changed since you looked, or the time to answer is over.

    Parameters
    ----------
    id
        As `homeostat incidents list` shows it.
    """
    _answer(id, "approve", plan, reason, app, actor, data, config, json)


def reject(
    id: str, /, *, plan: PlanHash, reason: Reason, app: AppName = None, actor: Actor = None, data: Data = None,
    config: Config = None, json: Json = False,
) -> None:  # fmt: skip
    """Reject the plan of an incident. It is watched on, and no step of that plan is planned for it again.

    Parameters
    ----------
    id
        As `homeostat incidents list` shows it.
    """
    _answer(id, "reject", plan, reason, app, actor, data, config, json)


def edit(
    id: str, /, *, plan: PlanHash, reason: Reason,
    step: Annotated[int, Parameter(help="Which step to change, 1 for the first.")] = 1,
    drop: Annotated[bool, Parameter(negative="", help="Leave the step out.")] = False,
    remedy: Annotated[str | None, Parameter(help="Take another remedy that answers the same cause.")] = None,
    body: Annotated[
        str | None, Parameter(help="Other values of the step, as JSON such as '{\"at\": 0.9}'.")
    ] = None,
    span: Annotated[str | None, Parameter("--for", help="How long the step lasts, such as 12h.")] = None,
    app: AppName = None, actor: Actor = None, data: Data = None, config: Config = None, json: Json = False,
) -> None:  # fmt: skip
    """Change one step of an incident's plan. The plan that this makes is rehearsed, and needs an approval of its own.

    `homeostat maintain` makes it within moments; look at the incident again then.

    Parameters
    ----------
    id
        As `homeostat incidents list` shows it.
    """
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.config.scalars import duration_ns
    from homeostat.records.edits import Edit

    worded(reason)
    try:
        lasts_ns = None if span is None else duration_ns(span)
    except ValueError as error:
        raise CommandError(f"--for: {error}") from error
    made = Edit(
        plan, step - 1, actor_of(actor), reason, SystemClock().now_ns(), drop, _remedy(remedy), _body(body), lasts_ns
    )
    with answering_of(app, data, config) as answering:
        try:
            response, _ = answering.edit(id, made)
        except ValueError as error:
            raise CommandError(str(error)) from error
    if json:
        print(dumps({"incident": id, "plan": plan, "edit": made.wish, "actor": made.actor,
                     "revision": response.revision}))  # fmt: skip
    else:
        print(f"plan {plan} of incident {id}: {made.wish}, by {made.actor}; maintain makes the plan, to be approved")


def _answer(
    id: str, word: str, plan: str, reason: str, app: str | None, actor: str | None, data: Path | None,
    config: Path | None, json: bool,
) -> None:  # fmt: skip
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.records.responses import Answer, Approval

    worded(reason)
    approval = Approval(plan, Answer(word), actor_of(actor), reason, SystemClock().now_ns())
    with answering_of(app, data, config) as answering:
        try:
            made, _ = answering.answer(id, approval)
        except ValueError as error:
            raise CommandError(str(error)) from error
    if json:
        print(dumps({"incident": id, "plan": plan, "answer": word, "actor": approval.actor, "revision": made.revision}))
    else:
        print(f"plan {plan} of incident {id}: {word}, by {approval.actor}")


def _remedy(name: str | None) -> Remedy | None:
    from homeostat.config.faults import nearest
    from homeostat.records.plans import Remedy

    if name is None:
        return None
    try:
        return Remedy(name)
    except ValueError:
        meant = nearest(name, [str(one) for one in Remedy])
        hint = f"; did you mean {meant}?" if meant else ""
        raise CommandError(f"there is no remedy {name!r}{hint}") from None


def _body(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"--body is no JSON: {error}") from error
    if not isinstance(found, dict) or not found:
        raise CommandError("--body is a JSON object with other values of the step, such as '{\"at\": 0.9}'")
    return found
