"""Which signals belong together, and which are the consequences of others: by the causal graph and by time."""

from __future__ import annotations

from collections.abc import Iterable

from homeostat.maintain.incident.ranking import Ranking
from homeostat.maintain.incident.signatures import CONSEQUENCES, class_of
from homeostat.records.causes import CausalGraph
from homeostat.records.signals import Signal


class Links:
    """See the module.

    slack_ns : how far a change point may be off
    """

    def __init__(self, graph: CausalGraph, ranking: Ranking, slack_ns: int) -> None:
        self._lags, self._slack, self._downstream = graph.lag_ns, slack_ns, ranking.downstream
        causes: dict[str, set[str]] = {node: set() for node in graph.nodes}
        for node in graph.nodes:
            for effect in self._downstream(node):
                causes.setdefault(effect, set()).add(node)
        self._causes = causes
        self._order = {node: len(causes[node]) for node in graph.nodes}

    def depth(self, node: str) -> int:
        """How far downstream a node is; a cause comes before its effects."""
        return self._order.get(node, len(self._order))

    def lag_ns(self, signal: Signal) -> int:
        """How much later than its causes a signal may begin."""
        return self._lags.get(_node(signal), 0)

    def follows(self, effect: Signal, cause: Signal) -> bool:
        """Whether one signal can be the consequence of another: its node is downstream, and its time fits."""
        if _node(effect) not in self._downstream(_node(cause)):
            return False
        if effect.series.kind not in CONSEQUENCES and effect.series.kind != cause.series.kind:
            return False  # A unit or a label flip names its own cause.
        return self._in_time(effect, cause)

    def distance(self, one: Signal, other: Signal) -> int | None:
        """How far apart two signals began that may belong together, in nanoseconds; None where they can't.

        They do where one's node is the other's or downstream of it, or where both have a cause in common; and where
        their onsets fit.
        """
        a, b = _node(one), _node(other)
        if a == b:
            fits = self._in_time(other, one) or self._in_time(one, other)
        elif b in self._downstream(a):
            fits = self._in_time(other, one)
        elif a in self._downstream(b):
            fits = self._in_time(one, other)
        else:
            common = not self._causes.get(a, frozenset()).isdisjoint(self._causes.get(b, frozenset()))
            fits = common and self._gap(one, other) <= self._slack
        return abs(one.since_ns - other.since_ns) if fits else None

    def consequences(self, signals: Iterable[Signal]) -> list[Signal]:
        """Those among signals that others of them explain."""
        signals = list(signals)
        return [one for one in signals if any(self.follows(one, other) for other in signals if other is not one)]

    def _in_time(self, effect: Signal, cause: Signal) -> bool:
        """Whether an effect began with its cause, or so much later as its window or its outcomes allow."""
        lag = self.lag_ns(effect)
        (low, high), (first, last) = self._onset(effect), self._onset(cause)
        return high >= first - self._slack and low <= last + lag + self._slack

    def _gap(self, one: Signal, other: Signal) -> int:
        """The time between the intervals of two onsets; 0 where they overlap."""
        (a, b), (c, d) = self._onset(one), self._onset(other)
        return max(0, a - d, c - b)

    def _onset(self, signal: Signal) -> tuple[int, int]:
        """The interval of an onset; one that is wide says little, and would join what has nothing in common."""
        since, widest = signal.since_ns, 2 * self._slack
        return max(signal.since_low_ns, since - widest), min(signal.since_high_ns, since + widest)


def _node(signal: Signal) -> str:
    """The node of a signal in the graph: a segment is a part of what came of decisions."""
    return "outcome" if class_of(signal.series.node) == "segment" else signal.series.node
