"""Rules as a scorer: what an expert knows, as one score beside the models'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from homeostat.expressions import Compiled, ExpressionError, Programs, Scope, Type, compile_expression
from homeostat.records.arrays import Float, Int
from homeostat.records.compiled import compiled
from homeostat.records.features import Features


@dataclass(frozen=True, slots=True)
class ScoreRule:
    """A condition on the features, and how sure it makes of a positive outcome: a score in [0, 1]."""

    name: str
    when: str
    score: float


class RulesScorer:
    """The score 1 - prod(1 - score of each rule that holds): rules are taken as independent evidence.

    A `decide.contracts.ContributingScorer` of confidence 1.

    >>> from homeostat.records.features import Features
    >>> rules = [ScoreRule("large", "amount > 100", 0.5), ScoreRule("night", "night", 0.2)]
    >>> scorer = RulesScorer("rules", rules, ("amount", "night"), (Type.NUMBER, Type.BOOLEAN))
    >>> rows = np.array([[150.0, 1.0], [150.0, 0.0], [10.0, 0.0]])
    >>> scorer.score(Features(("amount", "night"), rows, np.zeros((3, 2), np.uint8)))[0].tolist()
    [0.6, 0.5, 0.0]
    """

    def __init__(self, name: str, rules: Sequence[ScoreRule], names: tuple[str, ...], types: Sequence[Type]) -> None:
        """`names` and `types` of the features it will see. Raises ExpressionError, ValueError for a bad score."""
        self.name = name
        self.rules = tuple(rules)
        self._names = names
        scope = Scope.of(zip(names, types), time=None)
        compiled = [_condition(rule, scope) for rule in rules]
        self._columns: Int = np.array(sorted({names.index(used) for c in compiled for used in c.names}), dtype=np.int64)
        narrow = Scope.of(((names[k], types[k]) for k in self._columns), time=None)
        width = len(self._columns)
        self._programs = Programs(
            [compile_expression(rule.when, narrow) for rule in rules], range(width, width + len(rules))
        )
        self._scores: Float = np.array([rule.score for rule in rules], np.float64)
        self._blame: Float = np.zeros((len(rules), len(names)))
        for row, program in enumerate(compiled):
            for used in program.names:
                self._blame[row, names.index(used)] = 1.0 / len(program.names)

    def hits(self, features: Features) -> Float:
        """(n, rules) 1 where a rule holds, else 0."""
        if features.names is not self._names and features.names != self._names:
            raise ValueError(f"{self.name} was made for other features")
        n, width = len(features.values), len(self._columns)
        frame: Float = np.empty((n, width + len(self.rules)))
        _gather(features.values, self._columns, frame)
        nobody = np.empty((n, 0), dtype=np.int64)
        self._programs.run(frame, nobody, nobody, np.empty(n, dtype=np.int64))
        return frame[:, width:]

    def score(self, features: Features) -> tuple[Float, Float]:
        """(n,) scores and (n,) confidence 1."""
        return self._combined(self.hits(features)), np.ones(len(features))

    def _combined(self, hits: Float) -> Float:
        scores: Float = np.empty(len(hits))
        _combine(hits, self._scores, scores)
        return scores

    def rule_contributions(self, features: Features) -> Float:
        """(n, rules) each rule's part of the score, in proportion to the evidence -log(1 - score); rows sum to it."""
        hits = self.hits(features)
        evidence = hits * np.array([-np.log1p(-min(rule.score, 1.0 - 1e-12)) for rule in self.rules])
        total = np.zeros(len(hits))
        for column in range(evidence.shape[1]):
            total += evidence[:, column]
        share = np.divide(self._combined(hits), total, out=np.zeros_like(total), where=total > 0.0)
        parts: Float = evidence * share[:, None]
        return parts

    def contributions(self, features: Features) -> tuple[Float, float]:
        """(n, features) each feature's part of the score, and the baseline 0; a rule's features share its part."""
        parts = self.rule_contributions(features)
        moved: Float = np.zeros((len(parts), len(self._names)))
        for row, blame in enumerate(self._blame):
            moved += parts[:, row : row + 1] * blame
        return moved, 0.0


@compiled
def _gather(values: Float, columns: Int, frame: Float) -> None:
    """The columns that the rules read, side by side at the left of the frame."""
    for row in range(len(frame)):
        for at in range(len(columns)):
            frame[row, at] = values[row, columns[at]]


@compiled
def _combine(hits: Float, scores: Float, out: Float) -> None:
    for row in range(len(out)):
        doubt = 1.0
        for rule in range(len(scores)):  # One rule after the other: every batch rounds alike.
            doubt *= 1.0 - scores[rule] * hits[row, rule]
        out[row] = 1.0 - doubt


def _condition(rule: ScoreRule, scope: Scope) -> Compiled:
    if not 0.0 <= rule.score <= 1.0:
        raise ValueError(f"rule {rule.name}: a score lies in [0, 1], not {rule.score}")
    compiled = compile_expression(rule.when, scope)
    if compiled.type != Type.BOOLEAN:
        raise ExpressionError(f"rule {rule.name} is no condition: compare it with something")
    if not compiled.names:
        raise ExpressionError(f"rule {rule.name} asks about no feature")
    return compiled
