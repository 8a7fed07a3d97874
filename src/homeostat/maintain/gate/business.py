"""Rules of the business on a step of a plan, in the language of the app's rules. They forbid, and never allow."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

import numpy as np

from homeostat.expressions import Compiled, Programs, Scope, Type, compile_expression
from homeostat.expressions.parse import parse
from homeostat.maintain.gate.blackouts import local
from homeostat.records.autonomy import reach_of
from homeostat.records.findings import Findings
from homeostat.records.identity import category_code
from homeostat.records.plans import Plan, Step, Tier

_TEXTS = ("remedy", "scope", "reach", "cause", "node", "how")
_NUMBERS = (
    "cost", "effect", "low", "high", "n", "confidence", "decisions", "entities", "money", "takes_h", "steps", "hour",
    "weekday", "month", "day",
)  # fmt: skip
NAMES: tuple[tuple[str, Type], ...] = (
    *((name, Type.CATEGORY) for name in _TEXTS),
    *((name, Type.NUMBER) for name in _NUMBERS),
    ("reversible", Type.BOOLEAN),
)
"""The names that a rule may use: what the step is, what it does, and when."""

SCOPE = Scope.of(NAMES, time=None)


@dataclass(frozen=True, slots=True)
class BusinessRule:
    """Where `when` holds for a step, the gate asks for `then`: escalate or watch."""

    name: str
    when: str
    then: Tier = Tier.ESCALATE
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Business:
    """All rules of an app. zone : of `hour`, `weekday`, `month` and `day`."""

    rules: Sequence[BusinessRule] = ()
    zone: tzinfo = UTC
    _compiled: list[tuple[Programs, int]] = field(default_factory=list, repr=False, compare=False)

    def holding(self, plan: Plan, step: Step, findings: Findings, now_ns: int) -> list[bool]:
        """Which of the rules hold for a step. One with a figure that can't be computed, such as x / 0, holds."""
        if not self._compiled:
            self._compiled.extend(_programs(rule.when) for rule in self.rules)
        facts = _facts(plan, step, findings, now_ns, self.zone)
        return [_holds(programs, count, facts) for programs, count in self._compiled]


def condition(when: str) -> Compiled:
    """A rule's condition. Raises ExpressionError.

    >>> condition("remedy == 'retrain' and (hour < 8 or weekday > 5)").type
    <Type.BOOLEAN: 'boolean'>
    """
    return compile_expression(when, SCOPE)


def _programs(when: str) -> tuple[Programs, int]:
    """The condition, and after it each figure that it compares; and how many these are."""
    programs = [condition(when)]
    for node in ast.walk(parse(when)):
        if isinstance(node, ast.Compare):
            for one in (node.left, *node.comparators):
                if isinstance(one, ast.BinOp | ast.UnaryOp | ast.IfExp | ast.Call):
                    programs.append(compile_expression(ast.unparse(one), SCOPE))
    first = len(NAMES)
    return Programs(programs, range(first, first + len(programs))), len(programs)


def _holds(programs: Programs, count: int, facts: Sequence[float]) -> bool:
    frame = np.full((1, len(facts) + count), np.nan)
    frame[0, : len(facts)] = facts
    none = np.zeros((1, 0), np.int64)
    programs.run(frame, none, none, np.zeros(1, np.int64))
    found = frame[0, len(facts) :]
    return bool(found[0] == 1.0 or np.isnan(found).any())


def _facts(plan: Plan, step: Step, findings: Findings, now_ns: int, zone: tzinfo) -> list[float]:
    """The values of `NAMES` for a step."""
    now = local(now_ns, zone)
    top = findings.findings[0] if findings.findings else None
    texts = (
        str(step.remedy), step.scope, str(reach_of(step.scope)), top.kind if top else "", top.node if top else "",
        step.rehearsed.how,
    )  # fmt: skip
    acting = sum(1 for one in plan.steps if one.alterations or one.job)
    numbers = (
        step.cost, step.rehearsed.effect, step.rehearsed.low, step.rehearsed.high, step.rehearsed.n, plan.confidence,
        step.blast.decisions, step.blast.entities, step.blast.money_per_hour, step.takes_ns / 3.6e12, acting,
        now.hour + now.minute / 60, now.isoweekday(), now.month, now.day,
    )  # fmt: skip
    return [*map(category_code, texts), *map(float, numbers), float(step.reversible)]
