"""Does a step of a plan, exactly once: changes of the settings under keys that follow from plan and step.

A process that is killed between two changes of a step goes on where it stopped, since a key that is stored already
stores nothing again. Where somebody else has changed a scope meanwhile, what the step had stored is undone, and the
step fails as a conflict: a person decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from homeostat.errors import Conflict, HomeostatError
from homeostat.ports.settings import Changed, Settings
from homeostat.records.changes import Change
from homeostat.records.library import Ended
from homeostat.records.plans import Plan, Receipt

ACTOR = "homeostat"


class NotAllowed(HomeostatError):
    """A step is to be done without a ruling or an approval of exactly this plan."""

    why = "an action needs the gate's ruling or a person's approval of this very plan"
    remedy = "Look at the incident's plan, and approve that"


class Work(Protocol):
    """Starts a job once for each key. Raises Unavailable."""

    def begin(self, kind: str, request: Mapping[str, Any], key: str) -> str:
        """The job's id."""
        ...

    def cancel(self, job: str, key: str) -> None:
        """End the job that was begun under a key, where it runs; no other, whatever a receipt names."""
        ...

    def ended(self, job: str, key: str) -> Ended | None:
        """How the training that was begun under a key ended; None while it waits or runs."""
        ...


@dataclass(frozen=True, slots=True)
class SettingsExecutor:
    """See the module.

    allowed : whether a plan may be executed by somebody; asked before each step, so that nothing is done otherwise
    work : starts jobs; None where none can be
    """

    settings: Settings
    allowed: Callable[[Plan, str], bool]
    work: Work | None = None

    def act(self, plan: Plan, step: int, by: str, now_ns: int) -> Receipt:
        """Do a step; done before, it is the same receipt. Raises NotAllowed, Conflict, Unavailable."""
        if not self.allowed(plan, by):
            raise NotAllowed(f"{by} may not execute plan {plan.hash} of incident {plan.incident}")
        wanted = plan.steps[step]
        key = f"{plan.hash}-{step}"
        lasts = wanted.expects.get("lasts_ns")
        expires = None if not isinstance(lasts, int) else plan.at_ns + lasts
        stored: list[Change] = []
        for place, one in enumerate(wanted.alterations):
            reason = f"incident {plan.incident}: {wanted.why}"[:500]
            change = Change(
                one.kind, one.scope, one.body, ACTOR if by == ACTOR else f"{by} through {ACTOR}", reason,
                f"{key}-{place}", one.expires_ns or expires,
            )  # fmt: skip
            try:
                stored.append(self._store(change, plan.settings, stored))
            except Conflict:
                self._back(stored, "another change of the same scope came first", key)
                raise
        job = ""
        if wanted.job is not None and self.work is not None:
            kind, request = wanted.job
            job = self.work.begin(kind, request, key)
        numbers = tuple(change.number for change in stored)
        return Receipt(
            plan.hash, step, key, now_ns, by, numbers, job, remedy=wanted.remedy, scope=wanted.scope, cost=wanted.cost
        )  # fmt: skip

    def abandon(self, plan: Plan, step: int, by: str, why: str, now_ns: int) -> Receipt | None:
        """See `contracts.Executor`. A job is not looked for: it changes nothing that decides."""
        key, wanted = f"{plan.hash}-{step}", plan.steps[step]
        own = [one for one in self.settings.since(plan.settings) if one.key.startswith(f"{key}-") and not one.reverts]
        if not own:
            return None
        self._back(own, why, key)
        return Receipt(
            plan.hash, step, key, now_ns, by, tuple(one.number for one in own), "", now_ns, why, wanted.remedy,
            wanted.scope, wanted.cost,
        )  # fmt: skip

    def undo(self, receipt: Receipt, why: str, now_ns: int) -> Receipt:
        """Take a step back, newest change first; what somebody has changed since stays theirs. Raises Unavailable."""
        named = [one for number in receipt.changes for one in self.settings.since(number - 1, 1)]
        done = [one for one in named if one.key.startswith(f"{receipt.key}-")]  # Nobody else's, whatever it names.
        self._back(done, why, receipt.key)
        if receipt.job and self.work is not None:
            self.work.cancel(receipt.job, receipt.key)
        return replace(receipt, undone_ns=now_ns, undone_why=why)

    def _store(self, change: Change, seen: int, own: Sequence[Change]) -> Change:
        """Store a change on the state that the plan was made on: a scope that has changed since is a conflict."""
        last = self.settings.last_of(change.where)
        mine = {one.number for one in own}
        if last is not None and last.number > seen and last.key != change.key and last.number not in mine:
            raise Changed(last)
        return self.settings.append(change, None if last is not None and last.key == change.key else _number(last))

    def _back(self, changes: Sequence[Change], why: str, key: str) -> None:
        for change in reversed(changes):
            last = self.settings.last_of(change.where)
            if last is None or last.number != change.number:
                continue  # It is undone already, or somebody else's is in force.
            try:
                self.settings.append(change.undo(ACTOR, why, f"{key}-undo-{change.number}"), change.number)
            except Changed:
                continue


def _number(last: Change | None) -> int:
    return 0 if last is None else last.number
