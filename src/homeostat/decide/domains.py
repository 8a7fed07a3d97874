"""Which values a feature can have: a count is whole and not negative, a mean lies where the values do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf, sqrt

from homeostat.decide.windows.features import FeaturePlan
from homeostat.decide.windows.plan import LABEL, NO_VALUE, Aggregate, Kind, LabelFilter, Window
from homeostat.expressions import Type

_CLOCK = {"hour": 23.0, "minute": 59.0, "weekday": 6.0}  # Functions of time, and the largest value of each.
_OF_TIME = re.compile(rf"({'|'.join(_CLOCK)})\([a-z_]+\)")


@dataclass(frozen=True, slots=True)
class Domain:
    """The values from `low` to `high`; with a step above 0 its multiples only."""

    low: float = -inf
    high: float = inf
    step: float = 0.0


ANY = Domain()
YES_OR_NO = Domain(0.0, 1.0, 1.0)


def domains_of(plan: FeaturePlan, fields: Mapping[str, Domain]) -> dict[str, Domain]:
    """Feature -> its domain, of features of which anything is known.

    fields : what the app declares about the events' own fields
    """
    found = {name: fields.get(name, ANY) for name in plan.names[: plan.fields]}
    for window in plan.windows.windows:
        for aggregate in window.aggregates:
            found[plan.names[plan.fields + aggregate.slot]] = _of_window(plan, window, aggregate, fields)
    derived = plan.names[len(plan.names) - len(plan.derived) :]
    found |= dict(_of_time(dict(zip(derived, (one.text for one in plan.derived), strict=True))))
    return {name: domain for name, domain in found.items() if domain != ANY}


def _of_time(derived: Mapping[str, str]) -> Iterator[tuple[str, Domain]]:
    for name, text in derived.items():
        match = _OF_TIME.fullmatch(text.strip())
        if match is not None:
            yield name, Domain(0.0, _CLOCK[match[1]], 1.0)


def _of_window(plan: FeaturePlan, window: Window, aggregate: Aggregate, fields: Mapping[str, Domain]) -> Domain:
    kind, length_s, delay_s = aggregate.kind, window.length_ns / 1e9, window.delay_ns / 1e9
    value = _of_value(plan, aggregate.value, fields)
    if kind in (Kind.COUNT, Kind.DISTINCT, Kind.COUNT_SINCE):
        return Domain(1.0 if kind == Kind.COUNT and _counts_itself(window, aggregate) else 0.0, step=1.0)
    if kind == Kind.RATE:
        return Domain(0.0, step=1.0 / length_s)
    if kind in (Kind.SINCE_LAST, Kind.SINCE_FIRST):
        return Domain(delay_s, delay_s + length_s)
    if kind == Kind.SUM:
        return Domain(0.0 if value.low >= 0 else -inf, 0.0 if value.high <= 0 else inf, value.step)
    if kind == Kind.MEAN:
        return Domain(value.low, value.high)
    if kind == Kind.STD:  # Of a sample, largest where it is the two ends.
        return Domain(0.0, (value.high - value.low) / sqrt(2.0))
    return value


def _counts_itself(window: Window, aggregate: Aggregate) -> bool:
    """Whether the event that is decided is among those counted, whatever it is."""
    everything = window.mask == -1 and window.label == LabelFilter.ANY and aggregate.value == NO_VALUE
    return everything and window.delay_ns == 0 and not window.past


def _of_value(plan: FeaturePlan, value: int, fields: Mapping[str, Domain]) -> Domain:
    """The domain of what an aggregate is computed of."""
    if value == LABEL:
        return YES_OR_NO
    if 0 <= value < plan.fields:
        return fields.get(plan.names[value], ANY)
    if value >= plan.fields and plan.inputs[value - plan.fields].type == Type.BOOLEAN:
        return YES_OR_NO
    return ANY
