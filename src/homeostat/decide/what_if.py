"""Values that an event might have had: which features can be moved, to which values, and which follow from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from homeostat.decide.contracts import EncodingScorer
from homeostat.decide.domains import Domain
from homeostat.decide.panel import Panel
from homeostat.decide.windows.around import Around
from homeostat.decide.windows.features import FeaturePlan
from homeostat.expressions import Type
from homeostat.records.arrays import Int
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

UNNAMED = "another category"  # The text of a code that no event at hand and no model has.


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The facts about an app's features beside their values.

    around : computes the derived features
    code : a category's text -> its code
    declared : field -> its categories, where the app file lists them
    domains : feature -> the values that it can have, where that is known
    """

    plan: FeaturePlan
    around: Around
    code: Callable[[str], float]
    declared: Mapping[str, tuple[str, ...]]
    domains: Mapping[str, Domain] = field(default_factory=dict)

    def movable(self, name: str) -> bool:
        """Whether a feature can be thought otherwise by itself: not if it follows from others, or is in the past."""
        plan = self.plan
        if name not in plan.names:
            return True
        column = plan.names.index(name)
        base = len(plan.names) - len(plan.derived)
        if column >= base:
            return not plan.sources[column - base]
        return column < plan.fields or name not in plan.categories

    def choices(self, panel: Panel) -> dict[str, tuple[float, ...]]:
        """Feature -> the values that it may have instead, the likeliest first, where it is no quantity."""
        found: dict[str, tuple[float, ...]] = {
            name: (0.0, 1.0)
            for name, kind in zip(self.plan.names, self.plan.types, strict=True)
            if kind == Type.BOOLEAN
        }
        for name in sorted(self.plan.categories):
            values = [text for scorer in _encoding(panel) for text in _values(scorer, name)]
            values = list(dict.fromkeys([*values, *self.declared.get(name, ())]))
            allowed = self.declared.get(name)
            found[name] = tuple(self.code(text) for text in values if allowed is None or text in allowed)
        return {name: values for name, values in found.items() if self.movable(name)}

    def followed(self, events: EventBatch, features: Features, columns: Int) -> Features:
        """The features with those derived ones computed again that rest on `columns` (n,), a column in each row."""
        plan = self.plan
        if not plan.derived or features.names != plan.names:
            return features
        values, freshness = features.values.copy(), features.freshness.copy()
        self.around.complete(events.numbers, events.keys, events.key_checks, events.time_ns, values, freshness)
        rests = np.zeros((len(plan.names), len(plan.derived)), np.bool_)
        for derived, sources in enumerate(plan.sources):
            rests[list(sources), derived] = True
        base = len(plan.names) - len(plan.derived)
        values[:, :base] = features.values[:, :base]
        values[:, base:] = np.where(rests[columns], values[:, base:], features.values[:, base:])
        return replace(features, values=values)

    def text(self, code: float, panel: Panel, events: EventBatch) -> str:
        """How people call a category: by its text, from the events, the models or the app file."""
        for texts in (events.category_texts, *(scorer.texts for scorer in _encoding(panel))):
            if code in texts:
                return texts[code]
        declared = {self.code(text): text for values in self.declared.values() for text in values}
        return declared.get(code, UNNAMED)


def _encoding(panel: Panel) -> list[EncodingScorer]:
    return [seat.scorer for seat in panel.seats if isinstance(seat.scorer, EncodingScorer)]


def _values(scorer: EncodingScorer, name: str) -> tuple[str, ...]:
    return scorer.encodings[name].values if name in scorer.encodings else ()
