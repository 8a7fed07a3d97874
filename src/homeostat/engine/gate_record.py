"""All that is on record about acts without a person, in the chained statements.

The kill switch, the owners' words, people's approvals and edits, and a digest of each response as loop 2 stored it. The
store of plans says how far loop 2 is. The record says whether that is true: a store of plans that was changed from
outside allows nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from homeostat.ports.incidents import LOOP
from homeostat.ports.statements import AlreadyAnswered, Statements
from homeostat.records.autonomy import Raised, Reach
from homeostat.records.plans import Remedy
from homeostat.records.response_text import read_stored, stored_text
from homeostat.records.responses import Answer, Response
from homeostat.records.statements import ACTION, INCIDENT, PLAN, Statement, StatementKind, checked, standing
from homeostat.records.times import time_text

EVERYTHING = "everything"
"""The action that the kill switch is about."""
STOP, RESUME = "stop", "resume"
_DIGITS, _PAGE = 32, 500
_LATER = (
    "again_ns",
    "passed",
    "rejected",
    "reopened",
    "symptoms",
)  # Members of a response that came after the first digests.


@dataclass(slots=True)
class GateRecord:
    """See the module. For one thread; it remembers what it has read."""

    statements: Statements
    _known: dict[str, Statement] = field(default_factory=dict)
    _torn: dict[str, int] = field(default_factory=dict)  # Incident -> when a response did not go on from the last one.
    _read: int = 0
    _began_ns: int | None = None

    def switch(self) -> Statement | None:
        """The last word on the kill switch; None where nobody has touched it. Raises Unavailable."""
        found = self.statements.list(StatementKind.SWITCH, limit=1)
        return found[0] if found else None

    @property
    def stopped(self) -> bool:
        """Whether the kill switch was turned on, and not off again. Raises Unavailable."""
        last = self.switch()
        return last is not None and last.topic == STOP

    def turn(self, stop: bool, actor: str, reason: str, key: str = "") -> Statement:
        """Put a word on the kill switch on record; it counts at once, for all processes.

        A key that was used before brings back no earlier word: one that another has followed is refused, so that nobody
        believes that loop 2 stands still while it acts.
        Raises ValueError for words that can't be kept or that are loop 2's own, AlreadyAnswered, NoRoom, Unavailable.
        """
        if actor == LOOP:
            raise ValueError(f"{LOOP} can't turn its own kill switch: a person does")
        topic = STOP if stop else RESUME
        made = self.statements.append(
            checked(Statement(StatementKind.SWITCH, ACTION, EVERYTHING, topic, actor=actor, text=reason, key=key))
        )
        last = self.switch()
        if last is not None and last.number > made.number and last.topic != topic:
            followed = f"the word {last.number}, {last.topic} by {last.actor}, has followed word {made.number}"
            raise AlreadyAnswered(f"{followed}: no {topic} holds", remedy=f"Send {topic} again with another key")
        return made

    def raised(self) -> Sequence[Raised]:
        """The owners' words that gave a kind of action its level again, the first one first. Raises Unavailable."""
        found = []
        for one in reversed(self._words()):
            if one.subject == ACTION and one.topic == "raise" and one.actor != LOOP:
                found.append(
                    Raised(Remedy(one.about), Reach(str(one.value)), one.at_ns, one.actor, one.text, one.number)
                )
        return found

    def of_people(self) -> Sequence[Statement]:
        """People's words on plans and levels, and on the kill switch: by these `count` tells what was authorised."""
        return [*self._words(), *self.statements.list(StatementKind.SWITCH)]

    def approved(self, hash: str, actor: str) -> bool:
        """Whether a person's approval of a plan is on record. Raises Unavailable."""
        return self._said(hash, str(Answer.APPROVE), actor)

    def wished(self, hash: str, actor: str) -> bool:
        """Whether a person's edit of a plan is on record. Raises Unavailable."""
        return self._said(hash, "edit", actor)

    def keep(self, before: Response, after: Response) -> None:
        """Put on record that one response is to follow another, before it is stored. Raises NoRoom, Unavailable."""
        was, now = digest_of(before), digest_of(after)
        if was == now:
            return
        self.statements.append(checked(Statement(
            StatementKind.RESPONSE, INCIDENT, after.incident, str(after.phase), f"{was}:{now}", actor=LOOP,
            text=f"revision {after.revision}", key=f"response-{after.incident[:32]}-{after.revision}-{now}",
        )))  # fmt: skip

    def confirms(self, response: Response) -> bool:
        """Whether a stored response is as loop 2 stored it last. Raises Unavailable.

        A process that was killed may have put the next one on record, and not stored it.
        """
        last = self._responses().get(response.incident)
        return last is not None and digest_of(response) in _digests(last)

    @property
    def began_ns(self) -> int | None:
        """When the first word about a response was put on record; None where none is. Raises Unavailable."""
        self._responses()
        return self._began_ns

    def rejected(self, incident: str) -> Sequence[str]:
        """The plans of an incident that people have rejected, by hash. Raises Unavailable."""
        return [
            one.about for one in self._words()
            if (one.subject, one.topic, one.value) == (PLAN, str(Answer.REJECT), incident) and one.actor != LOOP
        ]  # fmt: skip

    def altered(self, stored: Iterable[Response], since_ns: int) -> Sequence[str]:
        """The incidents whose stored response is not as it is on record, was not for a time, or is missing.

        A response that was changed in its store, and that loop 2 went on from, stays one of them. Raises Unavailable.

        since_ns : those whose last word is older don't matter
        """
        by_id = {one.incident: one for one in stored}
        found = []
        for id, last in self._responses().items():
            one = by_id.get(id)
            moved = last.at_ns > since_ns and (one is None or digest_of(one) not in _digests(last))
            if moved or self._torn.get(id, 0) > since_ns:
                found.append(id)
        return sorted(found)

    def _said(self, hash: str, topic: str, actor: str) -> bool:
        return actor != LOOP and any(
            (one.subject, one.about, one.topic, one.actor) == (PLAN, hash, topic, actor) for one in self._words()
        )

    def _words(self) -> Sequence[Statement]:
        """People's words on plans and levels that hold, the newest first."""
        return standing(self.statements.list(StatementKind.APPROVAL))[::-1]

    def _responses(self) -> Mapping[str, Statement]:
        """Incident -> the last word about its response; only what came since the last look is read."""
        new, below = list[Statement](), None
        while page := self.statements.list(StatementKind.RESPONSE, limit=_PAGE, below=below):
            new += [one for one in page if one.number > self._read]
            below = page[-1].number
            if below <= self._read + 1:
                break
        for one in reversed(new):
            if one.actor == LOOP:
                last = self._known.get(one.about)
                if last is not None and _digests(one)[0] not in _digests(last):
                    self._torn[one.about] = one.at_ns
                self._known[one.about] = one
                self._began_ns = one.at_ns if self._began_ns is None else min(self._began_ns, one.at_ns)
            self._read = max(self._read, one.number)
        return self._known


def _digests(word: Statement) -> Sequence[str]:
    """The digests of before and after."""
    return str(word.value).split(":")


def digest_of(response: Response) -> str:
    """Names what loop 2 says in a response: phase, findings, plan, ruling, receipts and verdicts. No person's words.

    Members that came later count only where they say something, so that digests of earlier versions stay.

    >>> digest_of(Response("i1", 3)) == digest_of(Response("i1", 4)), len(digest_of(Response("i1")))
    (True, 32)
    """
    said = Response(
        response.incident, 0, response.phase, findings=response.findings, plan=response.plan, ruling=response.ruling,
        receipts=response.receipts, verdicts=response.verdicts, rejected=response.rejected,
    )  # fmt: skip
    plain = json.loads(stored_text(read_stored(stored_text(said), Response)))  # As any process reads it.
    later = {name: plain.pop(name) for name in _LATER}
    plain |= {name: value for name, value in later.items() if value}
    stored = json.dumps(plain, separators=(",", ":"), sort_keys=True)
    return sha256(stored.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def shown_switch(last: Statement | None) -> dict[str, Any]:
    """The kill switch as a JSON object; without a word on it, it is off.

    >>> shown_switch(None)["stopped"]
    False
    """
    if last is None:
        return {"stopped": False, "number": 0, "at": None, "actor": None, "reason": None}
    stopped = last.topic == STOP
    return {
        "stopped": stopped, "number": last.number, "at": time_text(last.at_ns), "actor": last.actor, "reason": last.text
    }  # fmt: skip
