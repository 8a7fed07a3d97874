"""An edit: one step of a plan, as a person wants it instead. The plan that it makes is another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from homeostat.records.plans import Alteration, Plan, Remedy

LASTS_NS_MAX = 366 * 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Edit:
    """See the module. Exactly one of `drop`, `remedy`, and `body` or `lasts_ns` or both is given.

    plan : the hash of the plan that its author saw
    step : which one, 0 for the first
    drop : leave the step out
    remedy : another remedy that is on offer for the same cause
    body : members of the step's alteration with other values
    lasts_ns : after which the step ends by itself
    key : the idempotency key that it was sent with; empty for none
    refused : why it could not be made; empty where it was, or waits
    """

    plan: str
    step: int
    actor: str
    reason: str
    at_ns: int
    drop: bool = False
    remedy: Remedy | None = None
    body: Mapping[str, Any] | None = None
    lasts_ns: int | None = None
    key: str = ""
    refused: str = ""

    @property
    def wish(self) -> str:
        """In words.

        >>> Edit("h", 0, "ann", "too strict", 5, body={"at": 0.9}).wish
        "step 1 with {'at': 0.9}"
        """
        step = f"step {self.step + 1}"
        if self.drop:
            return f"no {step}"
        if self.remedy is not None:
            return f"{self.remedy} as {step}"
        ends = "" if self.lasts_ns is None else f", for {self.lasts_ns / 3.6e12:.4g} hours"
        return f"{step} with {dict(self.body or {})}{ends}"


def faults_of(edit: Edit, plan: Plan) -> list[str]:
    """All that is wrong with an edit of a plan, in sentences."""
    found = []
    changes = edit.body is not None or edit.lasts_ns is not None
    if edit.drop + (edit.remedy is not None) + changes != 1:
        found.append("an edit leaves the step out, or takes another remedy, or changes its values: give one of these")
    if not 0 <= edit.step < len(plan.steps):
        return [*found, f"the plan has {len(plan.steps)} steps, and there is no step {edit.step + 1}"]
    step = plan.steps[edit.step]
    if not step.alterations and not step.job:
        found.append(f"step {edit.step + 1} alters nothing: it is to {step.remedy}")
    if edit.lasts_ns is not None and not 0 < edit.lasts_ns <= LASTS_NS_MAX:
        found.append("a step lasts longer than nothing, and a year at most")
    if edit.body is not None:
        try:
            with_body(step.alterations, edit.body)
        except ValueError as error:
            found.append(str(error))
    return found


def with_body(alterations: Sequence[Alteration], body: Mapping[str, Any]) -> tuple[Alteration, ...]:
    """The alterations of a step with other values of members that one of them has. Raises ValueError.

    >>> from homeostat.records.changes import ChangeKind
    >>> one = Alteration(ChangeKind.THRESHOLD, "block", {"at": 0.8})
    >>> with_body([one], {"at": 0.9})[0].body
    {'at': 0.9}
    """
    places = [at for at, one in enumerate(alterations) if body and one.body and body.keys() <= one.body.keys()]
    if len(places) != 1:
        known = sorted({name for one in alterations for name in one.body or {}})
        raise ValueError(
            f"an edit gives other values to members of one alteration; this step has: {', '.join(known) or 'none'}"
        )
    made = list(alterations)
    place = places[0]
    made[place] = replace(made[place], body={**(made[place].body or {}), **body})
    return tuple(made)
