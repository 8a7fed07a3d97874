"""A response: how far loop 2 is with an incident, so that a process that is killed goes on where it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from homeostat.records.edits import Edit
from homeostat.records.findings import Findings
from homeostat.records.incidents import Phase
from homeostat.records.plans import Plan, Receipt, Ruling, Tier, Verified


class Answer(StrEnum):
    """A person's answer to a plan that was handed to them."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's answer. It is void for another plan than that of its hash.

    key : the idempotency key that it was sent with; empty for none
    """

    plan: str
    answer: Answer
    actor: str
    reason: str
    at_ns: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the time line: when, and what happened, in a sentence."""

    at_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class Response:
    """See the module.

    phase : of the incident: OPEN until it is investigated, CLOSED once nothing is left to do
    since_ns : event time at which it came to its phase; next_ns : before which nothing is to be done
    signals : how many signals the incident had when it was investigated
    symptoms : the ids of these signals
    rounds : how often it was investigated
    receipts, verdicts : of the plan's steps, in order of time; those of earlier plans stay
    extended : whether the deadline of the present step was moved
    handed : whether a person was asked, in any round
    edits : of its plans, in order of time; see `wished`
    rejected : remedies and scopes that a person has rejected; none of them is planned again in this incident
    again_ns : when it began again, the last time, for its symptom came back after PASS; 0 for never
    reopened : how often it did
    passed : the findings whose remedies had passed by then, the latest last
    """

    incident: str
    revision: int = 0
    phase: Phase = Phase.OPEN
    since_ns: int = 0
    next_ns: int = 0
    signals: int = 0
    rounds: int = 0
    findings: Findings | None = None
    plan: Plan | None = None
    ruling: Ruling | None = None
    approval: Approval | None = None
    receipts: tuple[Receipt, ...] = ()
    verdicts: tuple[Verified, ...] = ()
    extended: bool = False
    handed: bool = False
    lines: tuple[Line, ...] = ()
    edits: tuple[Edit, ...] = ()
    rejected: tuple[tuple[str, str], ...] = ()
    again_ns: int = 0
    reopened: int = 0
    passed: tuple[Findings, ...] = ()
    symptoms: tuple[str, ...] = ()

    @property
    def wished(self) -> Edit | None:
        """The edit of the present plan that is to be made, None where there is none."""
        last = self.edits[-1] if self.edits else None
        waits = last is not None and self.plan is not None and last.plan == self.plan.hash and not last.refused
        return last if waits else None

    @property
    def waits(self) -> bool:
        """Whether a person's answer to the present plan is waited for."""
        asked = self.ruling is not None and self.ruling.tier == Tier.ESCALATE and self.phase == Phase.RULED
        given = self.approval is not None and self.plan is not None and self.approval.plan == self.plan.hash
        return asked and not given and self.plan is not None

    @property
    def tier(self) -> Tier | None:
        """The gate's ruling on the present plan."""
        return None if self.ruling is None else self.ruling.tier

    @property
    def standing(self) -> tuple[Receipt, ...]:
        """The steps that were done and not undone; a job alone alters nothing."""
        return tuple(one for one in self.receipts if not one.undone_ns and (one.changes or not one.job))

    @property
    def fresh(self) -> tuple[Receipt, ...]:
        """Those of `standing` that were done since it began again."""
        return tuple(one for one in self.standing if one.at_ns >= self.again_ns)

    def to(self, phase: Phase, now_ns: int, text: str, wait_ns: int = 0, **fields: object) -> Response:
        """The next revision, in a phase, with a line that says why.

        >>> Response("i1").to(Phase.INVESTIGATED, 5, "one cause fits").lines[0].text
        'one cause fits'
        """
        since = now_ns if phase != self.phase else self.since_ns
        lines = (*self.lines, Line(now_ns, text)) if text else self.lines
        return replace(
            self, revision=self.revision + 1, phase=phase, since_ns=since, next_ns=now_ns + wait_ns, lines=lines,
            **fields,  # type: ignore[arg-type]
        )  # fmt: skip
