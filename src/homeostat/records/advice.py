"""Advice: what language models and outside assistants say of an incident. It is shown to people and acted on by none.

Advice and proposals are notes of the incident. Findings, plans and rulings are made without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from homeostat.records.findings import Evidence

ADVICE = "advice"
"""The note of an incident with the last advice of language models."""
PROPOSALS = "proposals"
"""The note of an incident with the proposals of outside assistants, the oldest first."""
PROPOSALS_MAX = 20
WORDS_MAX = 1_000  # Characters of a text of a model's or an assistant's.


@dataclass(frozen=True, slots=True)
class Lead:
    """A proposed cause after its tests, the same as those of an investigation.

    why : the proposer's sentence, a quotation
    shown : whether a test showed the cause itself
    probability : of it alone, calibrated; 0 where no test showed it
    """

    node: str
    kind: str
    why: str
    shown: bool
    probability: float
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """A node that was looked at because a model asked. moved : the measured sentence, empty where it did not move"""

    node: str
    moved: str


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of a model.

    outcome : `answered`, or a `ports.language.Refusal`; asked, answered : SHA-256 of all that was sent and that came
    """

    role: str
    model: str
    outcome: str
    tokens_in: int
    tokens_out: int
    cost: float
    asked: str
    answered: str


@dataclass(frozen=True, slots=True)
class Advice:
    """All that models answered about an incident in one round.

    revision : of the incident that it is about
    words : a few sentences for people, a quotation
    likelier, preferred : near-ties in the order that a model prefers: causes as `kind at node`, and remedies
    """

    at_ns: int
    revision: int
    words: str = ""
    leads: tuple[Lead, ...] = ()
    looks: tuple[Look, ...] = ()
    likelier: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    asked: tuple[Asked, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal of an outside assistant: a cause, and perhaps a remedy for it. A person decides on it.

    id : follows from its content
    by : the assistant's name; why : its sentence, a quotation
    remedy : a `records.plans.Remedy`, empty for a cause alone
    state : `waits` until the tests were made, then `shown` or `not_shown`
    plan, gate : the plan of the remedy, rehearsed where that can be done, and the gate's rules on it
    """

    id: str
    at_ns: int
    by: str
    node: str
    kind: str
    why: str
    remedy: str = ""
    state: str = "waits"
    lead: Lead | None = None
    plan: Mapping[str, Any] | None = None
    gate: Mapping[str, Any] | None = None
    result: str = ""

    @classmethod
    def of(cls, incident: str, at_ns: int, by: str, node: str, kind: str, why: str, remedy: str = "") -> Proposal:
        """A proposal, named by its content: the same again is the same one.

        >>> a, b = (Proposal.of("i1", at, "ann", "labels", "poisoning", "odd", "hold_training") for at in (1, 2))
        >>> a.id == b.id
        True
        """
        text = "|".join(("proposal", incident, node, kind, remedy))
        id = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return cls(id, at_ns, by, node, kind, why[:WORDS_MAX], remedy)


def note_of(record: Advice | Sequence[Any]) -> Any:
    """A record, or several, as a note can hold it."""
    return msgspec.to_builtins(record)


def advice_in(notes: Mapping[str, Any]) -> Advice | None:
    """The advice of an incident's notes; None where there is none, or none that can be read."""
    try:
        return msgspec.convert(notes[ADVICE], Advice)
    except (KeyError, msgspec.ValidationError):
        return None


def proposals_in(notes: Mapping[str, Any]) -> tuple[Proposal, ...]:
    """The proposals of an incident's notes; those that can't be read are none.

    >>> one = Proposal.of("i1", 1, "ann", "labels", "poisoning", "odd")
    >>> proposals_in({PROPOSALS: note_of([one])}) == (one,), proposals_in({})
    (True, ())
    """
    found = []
    for one in notes.get(PROPOSALS) or ():
        try:
            found.append(msgspec.convert(one, Proposal))
        except msgspec.ValidationError:
            continue
    return tuple(found)
