"""The record of retraining: rounds, each from its trigger to its end, whose steps are statements that nobody changes.

A step has a key of its round and its name. So it is stored once, also where two processes take
it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeostat.ports.statements import Statements
from homeostat.records.statements import TEXT_CHARS_MAX, VERSION, Statement, StatementKind

ACTOR = "homeostat"
STEPS_MAX = 2_000  # The newest steps that are looked at: some hundred rounds.
BEGUN, VERSIONED, ENDED = "begun", "version", "ended"
PROMOTED = "promoted"  # The value of an end.
_NONE = "-"


@dataclass(frozen=True, slots=True)
class Round:
    """One retraining.

    steps : by name, in their order
    """

    number: int
    steps: Mapping[str, Statement]

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return ENDED in self.steps

    @property
    def version(self) -> str | None:
        """The version that it is about, once there is one."""
        found = self.steps.get(VERSIONED)
        return None if found is None else found.about

    @property
    def began(self) -> dict[str, Any]:
        """The facts of its beginning: trigger, entry of the journal, the moment of training, whether it tunes."""
        return dict(json.loads(str(self.steps[BEGUN].value)))

    @property
    def tunes(self) -> bool:
        """Whether it searches for better settings."""
        return bool(self.began.get("tunes"))

    def as_json(self) -> dict[str, Any]:
        """As JSON, with every step."""
        steps = [
            {"step": name, "at_ns": one.at_ns, "actor": one.actor, "value": one.value, "why": one.text}
            for name, one in self.steps.items()
        ]
        return {"round": self.number, "version": self.version, "over": self.over, "steps": steps}


def rounds(statements: Statements) -> list[Round]:
    """The rounds of the record, newest first; a round whose beginning is too long ago is left out. Raises Unavailable.

    Steps count in the order in which they were stored.
    """
    found: dict[int, dict[str, Statement]] = {}
    for one in reversed(statements.list(StatementKind.RETRAINING, limit=STEPS_MAX)):
        found.setdefault(int(one.source), {}).setdefault(one.topic, one)
    return [Round(number, found[number]) for number in sorted(found, reverse=True) if BEGUN in found[number]]


def record(
    statements: Statements, number: int, step: str, why: str, *, version: str | None = None,
    value: str | None = None, actor: str = ACTOR,
) -> Statement:  # fmt: skip
    """Store a step of a round; one that is stored already stays. Raises AlreadyAnswered for another, Unavailable.

    why : a sentence for people
    """
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in why)[:TEXT_CHARS_MAX].strip() or step
    return statements.append(
        Statement(
            StatementKind.RETRAINING, VERSION, version or _NONE, step, value, str(number), actor, text,
            key=f"retraining-{number}-{step}",
        )
    )  # fmt: skip
