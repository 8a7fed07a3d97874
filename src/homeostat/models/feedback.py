"""How good feedback is, which way it moves, and which piece of it is worth a look first.

A source that was right before is believed more; a claim that the outcome bears out is believed most. All of it is
arithmetic on what is known at the time, so that anybody can check it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal, TypeAlias, TypeGuard

from homeostat.records.statements import Statement, Value

Trend: TypeAlias = Literal["rising", "falling", "steady"]
LABEL = "label"  # The kind whose value claims what the outcome is: true or false, or a probability.
_OUTCOME_WEIGHT, _OTHERS_WEIGHT = 2.0, 1.0  # Beside the source's history, which counts 1.
_Z = 1.96  # Two counts differ by more than chance would have it in 19 of 20 cases.


@dataclass(frozen=True, slots=True)
class Known:
    """The facts about the decision that a piece of feedback is about.

    outcome : 1 positive, 0 negative; None while nobody knows
    harsh : whether another action than the mildest was taken; None where it is about no decision
    """

    outcome: float | None = None
    harsh: bool | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """A piece of feedback with its quality and priority, both in [0, 1].

    history : how often its source was right before, as (1 + right) / (2 + checked)
    agrees_outcome : whether the outcome bears it out; None while nobody knows, or it claims none
    agrees_others : how far other sources say the same of the same; None without any
    """

    statement: Statement
    quality: float
    priority: float
    history: float
    agrees_outcome: bool | None
    agrees_others: float | None


def scored(feedback: Iterable[Statement], known: Mapping[int, Known]) -> list[Scored]:
    """Each piece of feedback with its quality, in the order of the numbers.

    known : by the number of the statement
    quality : the mean of the source's history (weight 1), agreement with the outcome (2) and with others (1), of those
        that are there
    priority : the quality, halved where it does not speak against the action, and less by a fifth where feedback of its
        kind is not rising

    >>> from homeostat.records.statements import StatementKind
    >>> one = Statement(StatementKind.FEEDBACK, "decision", "e1", "label", True, "desk", number=1)
    >>> [(round(s.quality, 3), s.priority) for s in scored([one], {1: Known(1.0, harsh=False)})]
    [(0.833, 0.6666666666666667)]
    """
    given = sorted(feedback, key=lambda one: one.number)
    others = {about: _Values.of(values) for about, values in _by_subject(given).items()}
    times: dict[str, list[int]] = defaultdict(list)
    for one in given:
        times[one.topic].append(one.at_ns)
    trends = {topic: trend_of(found) for topic, found in times.items()}
    right, checked = defaultdict[str, int](int), defaultdict[str, int](int)
    found = []
    for one in given:
        facts = known.get(one.number, Known())
        history = (1 + right[one.source]) / (2 + checked[one.source])
        agrees = _agrees_outcome(one, facts.outcome)
        alike = others[one.subject, one.about, one.topic].agree_with(one)
        quality = _mean(history, agrees, alike)
        priority = quality * (1.0 if _against(one, facts) else 0.5) * (1.0 if trends[one.topic] == "rising" else 0.8)
        found.append(Scored(one, quality, priority, history, agrees, alike))
        if agrees is not None:
            checked[one.source] += 1
            right[one.source] += agrees
    return found


def trend_of(at_ns: Sequence[int]) -> Trend:
    """Whether more of it came in the later half of its time than in the earlier one.

    >>> trend_of([0, 1, 2, 3]), trend_of([0, *[100] * 9])
    ('steady', 'rising')
    """
    if len(at_ns) < 2:
        return "steady"
    middle = (min(at_ns) + max(at_ns)) / 2
    late = sum(time > middle for time in at_ns)
    z = (2 * late - len(at_ns)) / sqrt(len(at_ns))
    return "rising" if z > _Z else "falling" if z < -_Z else "steady"


def claim_of(one: Statement) -> float | None:
    """The outcome that feedback of the kind `label` claims: 1, 0, or None where it claims none.

    >>> from homeostat.records.statements import StatementKind
    >>> kind = StatementKind.FEEDBACK
    >>> [claim_of(Statement(kind, "decision", "e", "label", value)) for value in (True, 0.2, "?", 7.0)]
    [1.0, 0.0, None, None]
    """
    if one.topic != LABEL or one.value is None or isinstance(one.value, str) or not 0 <= one.value <= 1:
        return None
    return float(one.value >= 0.5)


def _by_subject(given: Sequence[Statement]) -> dict[tuple[str, str, str], dict[str, Value]]:
    """The last value of each source, by what it is about."""
    found: dict[tuple[str, str, str], dict[str, Value]] = defaultdict(dict)
    for one in given:
        found[one.subject, one.about, one.topic][one.source] = one.value
    return found


def _agrees_outcome(one: Statement, outcome: float | None) -> bool | None:
    claim = claim_of(one)
    return None if claim is None or outcome is None else claim == outcome


@dataclass(frozen=True, slots=True)
class _Values:
    """The last value of each source about the same, in an order that finds those that are alike without a look at all.

    by_source : the values; words : texts and answers that are there, counted; numbers : the numbers, rising
    """

    by_source: Mapping[str, Value]
    words: Counter[Value]
    numbers: list[float]

    @classmethod
    def of(cls, by_source: Mapping[str, Value]) -> _Values:
        there = [value for value in by_source.values() if value is not None]
        numbers = sorted(value for value in there if _is_number(value))
        return cls(by_source, Counter(value for value in there if not _is_number(value)), numbers)

    def agree_with(self, one: Statement) -> float | None:
        """The share of the other sources that say the same; None where the piece, or all others, say nothing."""
        own = self.by_source.get(one.source)
        theirs = self.words.total() + len(self.numbers) - (own is not None)
        if one.value is None or not theirs:
            return None
        return (self._alike(one.value) - (own is not None and _alike(one.value, own))) / theirs

    def _alike(self, value: Value) -> int:
        """How many values are alike; numbers on both sides of one are the less alike, the further away they are."""
        alike, numbers = self.words[value], self.numbers
        if isinstance(value, bool):  # Yes is 1 and no is 0.
            return alike + bisect_right(numbers, value) - bisect_left(numbers, value)
        if not _is_number(value):
            return alike
        middle = bisect_left(numbers, value)
        first = bisect_left(numbers, True, 0, middle, key=lambda other: _alike(value, other))
        last = bisect_left(numbers, True, middle, key=lambda other: not _alike(value, other))
        return alike + last - first


def _is_number(value: Value) -> TypeGuard[float]:
    return isinstance(value, float)


def _alike(one: Value, other: Value) -> bool:
    """Equal texts and answers; of numbers, those that are nearer than a tenth of the larger one."""
    if _is_number(one) and _is_number(other):
        return abs(one - other) <= 0.1 * max(abs(one), abs(other))
    return one == other


def _mean(history: float, agrees: bool | None, alike: float | None) -> float:
    total, weight = history, 1.0
    for value, counts in ((agrees, _OUTCOME_WEIGHT), (alike, _OTHERS_WEIGHT)):
        if value is not None:
            total, weight = total + counts * float(value), weight + counts
    return total / weight


def _against(one: Statement, facts: Known) -> bool:
    """Whether it claims that the action was the wrong one."""
    claim = claim_of(one)
    return claim is not None and facts.harsh is not None and (claim == 1.0) != facts.harsh
