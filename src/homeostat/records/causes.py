"""The places where something can go wrong in an app (its causal graph), and the kinds of cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Cause(StrEnum):
    """The kind of a cause. A drill's truth, a suspect and a finding are a node and one of these."""

    POPULATION = "population"  # Node: source. Other people or things than before, under the same law.
    CONCEPT = "concept"  # Node: outcome. The same inputs have other outcomes.
    REGIME = "regime"  # Node: outcome. A law that was there before is back.
    CALENDAR = "calendar"  # Node: source. A season, a holiday, a campaign.
    BASE_RATE = "base_rate"  # Node: outcome. More or fewer positives, of the same kind.
    SEGMENT = "segment"  # Node: segment:..., a condition on fields or features.
    LABEL_DELAY = "label_delay"  # Node: labels.
    LABEL_FLIPS = "label_flips"  # Node: labels.
    POISONING = "poisoning"  # Node: labels.
    UNIT = "unit"  # Node: field:NAME.
    SCHEMA = "schema"  # Node: field:NAME.
    MISSING = "missing"  # Node: field:NAME.
    FROZEN = "frozen"  # Node: field:NAME.
    DUPLICATES = "duplicates"  # Node: source.
    LATE = "late"  # Node: source.
    CLOCK = "clock"  # Node: time.
    SKEW = "skew"  # Node: feature:NAME.
    VERSION = "version"  # Node: version.
    CONFIGURATION = "configuration"  # Node: settings.
    ENVIRONMENT = "environment"  # Node: environment. A library, an encoding.
    OUTAGE = "outage"  # Node: dependency:NAME.
    LATENCY = "latency"  # Node: serving.
    FLOOD = "flood"  # Node: source.
    ADVERSARY = "adversary"  # Node: entity:NAME or field:NAME, whichever it plays with.
    INJECTION = "injection"  # Node: source. An instruction hidden in text.


NODE_HEADS = (
    "source", "time", "entity", "field", "feature", "scorer", "fusion", "policy", "guards", "action", "outcome",
    "labels", "version", "settings", "environment", "serving", "dependency", "segment",
)  # fmt: skip
"""The word that a node begins with, before its colon and name where it has one: see `CausalGraph.nodes`."""


@dataclass(frozen=True, slots=True)
class CausalGraph:
    """An app's parts, and which of them acts on which.

    nodes : source, time, entity:NAME, field:NAME, feature:NAME, scorer:NAME, fusion, policy, guards, action:NAME,
        outcome, labels, version, settings, environment, serving, dependency:NAME; a segment:... is added where found
    effects : by node, the nodes that it acts on directly
    lag_ns : by node, how much later than its causes it may begin to move: the length of a window, the delay of outcomes
    """

    nodes: tuple[str, ...]
    effects: Mapping[str, tuple[str, ...]]
    lag_ns: Mapping[str, int] = field(default_factory=dict)

    def downstream(self, node: str) -> frozenset[str]:
        """All nodes that a node acts on, directly or through others, without itself.

        >>> CausalGraph(("a", "b", "c"), {"a": ("b",), "b": ("c",)}).downstream("a") == {"b", "c"}
        True
        """
        found: set[str] = set()
        waiting = list(self.effects.get(node, ()))
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self.effects.get(one, ())
        return frozenset(found - {node})
