"""A person's word on a plan: checked against the present plan and settings, put on the record, and stored.

The word is in the chained statements before it counts. So every answer that a plan has is in the audit trail, also
where the process dies in between: the same word again then finds its statement, and goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from homeostat.config.change_faults import check_change
from homeostat.config.gate import GateSpec
from homeostat.config.tree import App
from homeostat.maintain.gate.answers import answered, edited
from homeostat.ports.plans import AnswerVoid, Plans, ResponseMoved
from homeostat.ports.settings import Settings
from homeostat.ports.statements import Statements
from homeostat.records.autonomy import Raised
from homeostat.records.changes import Change
from homeostat.records.edits import Edit, with_body
from homeostat.records.plans import Plan, Remedy
from homeostat.records.responses import Approval, Response
from homeostat.records.statements import ACTION, PLAN, Statement, StatementKind, checked, void_of

_ALWAYS_NS = (1 << 63) - 1
_PLANS = 10_000  # Among which the plan of a late answer is looked for.


@dataclass(frozen=True, slots=True)
class Answering:
    """See the module.

    spec : the limits of the app, for how long one may answer, and where two persons are needed
    app : None where it is not at hand; then values of an edit are checked when the plan is made
    """

    plans: Plans
    settings: Settings
    statements: Statements
    spec: GateSpec
    app: App | None = None

    def answer(
        self, incident: str, approval: Approval, revision: int | None = None, named: bool = True
    ) -> tuple[Response, bool]:  # fmt: skip
        """The response with a person's answer, and whether it is new: the same key again is the same answer.

        revision : of the response as its author saw it; None does not compare. named : see `answered`
        Raises NoResponse, AnswerVoid, ResponseMoved; ValueError for words that can't be kept; Unavailable.
        """
        response = self.plans.get(incident)
        there = response.approval
        if approval.key and there is not None and there.key == approval.key:
            if (there.plan, there.answer, there.actor, there.reason) != _words(approval):
                raise _other_work(approval.key)
            return response, False
        word = _statement(approval, str(approval.answer), incident, response)
        made = self._answered(response, approval, named)
        self._keep(response, made, word, revision)
        return made, True

    def check(self, response: Response, approval: Approval, named: bool = True) -> None:
        """Raise AnswerVoid where such an answer would have no effect now; nothing is stored."""
        self._answered(response, approval, named)

    def _answered(self, response: Response, approval: Approval, named: bool) -> Response:
        earlier, changes = self._state(response, approval.plan)
        eyes = frozenset(Remedy(one) for one in self.spec.four_eyes)
        return answered(response, approval, changes, self.spec.answer, earlier, eyes, named)

    def edit(self, incident: str, edit: Edit, revision: int | None = None) -> tuple[Response, bool]:
        """The response with a person's edit of its plan; see `answer`.

        Raises ValueError for an edit that this plan can't have, ChangeError for values that the app can't.
        """
        response = self.plans.get(incident)
        there = next((one for one in response.edits if edit.key and one.key == edit.key), None)
        if there is not None:
            if (there.plan, there.wish, there.actor, there.reason) != (edit.plan, edit.wish, edit.actor, edit.reason):
                raise _other_work(edit.key)
            return response, False
        word = _statement(edit, "edit", incident, response)
        earlier, changes = self._state(response, edit.plan)
        made = edited(response, edit, changes, self.spec.answer, earlier)
        assert response.plan is not None, "an edit is of a plan"
        self._check_values(response.plan, edit)
        self._keep(response, made, word, revision)
        return made, True

    def raise_level(self, word: Raised, record: str = "") -> Raised:
        """Store an owner's word, on the record first. Raises ValueError for words that can't be kept, Unavailable.

        record : of the kind of action in a drill, as the owner saw it
        """
        key = f"raise-{word.remedy}-{word.reach}-{word.at_ns}"
        self.statements.append(checked(Statement(
            StatementKind.APPROVAL, ACTION, str(word.remedy), "raise", str(word.reach), actor=word.actor,
            text=f"{word.reason} ({record})" if record else word.reason, key=key,
        )))  # fmt: skip
        return self.plans.raise_level(word)

    def _state(self, response: Response, hash: str) -> tuple[Plan | None, Sequence[Change]]:
        """The plan of a hash, where it is not the present one, and the changes of the settings since the present."""
        plan = response.plan
        if plan is None:
            return None, ()
        if plan.hash != hash:
            return next((one.plan for one in self.plans.ruled(0, _PLANS) if one.plan.hash == hash), None), ()
        return None, self.settings.since(plan.settings)

    def _check_values(self, plan: Plan, edit: Edit) -> None:
        if self.app is None or edit.body is None:
            return
        standing = self.settings.at(_ALWAYS_NS).values()
        for one in with_body(plan.steps[edit.step].alterations, edit.body):
            check_change(Change(one.kind, one.scope, one.body, edit.actor, edit.reason), self.app, standing)

    def _keep(self, response: Response, made: Response, word: Statement, revision: int | None) -> None:
        if revision is not None and response.revision != revision:
            raise ResponseMoved(response)
        self.statements.append(word)
        try:
            self.plans.write(made)
        except ResponseMoved as error:
            if not _holds(error.found, made):  # Else the same word came twice, and counts.
                self.statements.append(void_of(word))
            raise


def _statement(word: Approval | Edit, topic: str, incident: str, response: Response) -> Statement:
    """The word as it is on the record. Raises ValueError where it can't be kept."""
    text = word.reason if isinstance(word, Approval) else f"{word.wish}: {word.reason}"
    named = sha256(f"{word.actor}\0{text}".encode("utf-8", "replace")).hexdigest()[:16]
    key = f"{topic}-{word.plan[:32]}-{response.revision}-{named}"
    return checked(Statement(
        StatementKind.APPROVAL, PLAN, word.plan, topic, incident, actor=word.actor, text=text, key=key,
    ))  # fmt: skip


def _holds(found: Response, made: Response) -> bool:
    """Whether a stored response has the word that another revision of it was to bring."""
    mine, theirs = made.approval, found.approval
    if mine is not None and theirs is not None and _words(mine) == _words(theirs):
        return True
    wanted = made.edits[-1] if made.edits else None
    return wanted is not None and any(
        (one.plan, one.wish, one.actor) == (wanted.plan, wanted.wish, wanted.actor) for one in found.edits
    )


def _words(one: Approval) -> tuple[str, str, str, str]:
    return one.plan, one.answer, one.actor, one.reason


def _other_work(key: str) -> AnswerVoid:
    return AnswerVoid(f"the key {key} stands for another answer already", remedy="Use a new key")
