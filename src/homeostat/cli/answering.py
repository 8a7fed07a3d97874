"""`homeostat incidents approve` and `reject`: a person's answer to a plan that the gate handed over."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.gate import AppName, plans_of
from homeostat.cli.options import Json
from homeostat.cli.version_stores import Actor, Config, Data, actor_of

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
    """Reject the plan of an incident, which is then closed.

    Parameters
    ----------
    id
        As `homeostat incidents list` shows it.
    """
    _answer(id, "reject", plan, reason, app, actor, data, config, json)


def _answer(
    id: str, word: str, plan: str, reason: str, app: str | None, actor: str | None, data: Path | None,
    config: Path | None, json: bool,
) -> None:  # fmt: skip
    from homeostat.adapters.process.clock import SystemClock
    from homeostat.cli.settings import store_of
    from homeostat.config.gate import GateSpec
    from homeostat.config.load import load_app
    from homeostat.maintain.gate.answers import answered
    from homeostat.records.responses import Answer, Approval

    if not reason.strip() or len(reason) > 1000:
        raise CommandError("--reason is a sentence of at most 1,000 characters for those who look later")
    spec = GateSpec() if app is None else load_app(app).maintain.gate
    approval = Approval(plan, Answer(word), actor_of(actor), reason, SystemClock().now_ns())
    with plans_of(data, config) as store, store_of(data, config) as settings:
        response = store.get(id)
        seen = response.plan
        earlier = next((one.plan for one in store.ruled(0, 10_000) if one.plan.hash == plan), None)
        changes = [] if seen is None else settings.since(seen.settings)
        made = answered(response, approval, changes, spec.answer, earlier)
        store.write(made)
    if json:
        print(dumps({"incident": id, "plan": plan, "answer": word, "actor": approval.actor, "revision": made.revision}))
    else:
        print(f"plan {plan} of incident {id}: {word}, by {approval.actor}")
