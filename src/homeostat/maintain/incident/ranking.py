"""Suspects of an incident, by its signals alone: places and kinds of cause, with probabilities.

A naive Bayes over kinds of signals and classes of places, by the table in `signatures`. Three things come on top. A
cause explains only nodes that it acts on, so that of two faults the upstream one explains more. It can't have begun
after its effects. And a change of version or settings near the onset speaks for itself, as its absence does against it.

A ranking is no finding: nothing was tried out. Probabilities are shares among the causes of the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log, log2

from homeostat.maintain.incident.signatures import (
    CONSEQUENCES,
    HERE,
    LABELLED,
    OWN_PLACES,
    SIGNATURES,
    Signature,
    class_of,
    place_of,
)
from homeostat.records.causes import CausalGraph, Cause
from homeostat.records.incidents import Suspect
from homeostat.records.signals import Kind, Signal

SUSPECTS_MAX = 10
_CHANCE = 0.01  # A signal that the cause has nothing to do with.
_FOLLOWS = 0.05  # A signal downstream, of a kind that the table does not expect there.
_FALSE = 0.03  # A signal while nothing is wrong, against one that something raised.
_EXPECTED = 0.6  # From this share on, a signal that does not come up speaks against a cause.
_DOUBT = 0.7  # Of what an expected signal weighs that is missing: it may come, or its monitor may be off.
_CHANGED, _UNCHANGED = (0.9, 0.05), (0.1, 0.95)  # Shares with a change near the onset, if that is the cause and if not.
_TIGHT_NS = 2 * 3_600_000_000_000  # How much later than its effects, by their intervals, a cause may seem to begin.
_MANY = frozenset({"field", "feature", "scorer", "entity", "dependency"})  # Only those that the cause acts on count.
_SLOW = frozenset({"outcome", "labels", "segment", LABELLED})  # Outcomes must be known before these can speak.


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry of the change log: what was changed when.

    node : `version` or `settings`
    """

    node: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a ranking goes by.

    signals : of one incident, the last of each series
    changes : that are known of, around the incident's time
    now_ns, slack_ns : event time now, and how far a change point may be off
    """

    signals: Sequence[Signal]
    changes: Sequence[Logged]
    now_ns: int
    slack_ns: int

    @property
    def onset(self) -> tuple[int, int]:
        """The interval in which the earliest of the signals began."""
        first = min(self.signals, key=lambda one: (one.since_ns, one.id))
        return first.since_low_ns, first.since_high_ns


class Ranking:
    """See the module. It holds no state but the graph."""

    def __init__(self, graph: CausalGraph) -> None:
        self._graph = graph
        self._reach = {node: graph.downstream(node) for node in graph.nodes}
        late = graph.downstream("labels") if "labels" in graph.nodes else frozenset()
        self._labelled = frozenset(node for node in late if class_of(node) == "feature")
        self._late = late | {"outcome"}
        self._of_class: dict[str, list[str]] = {}  # The graph's nodes.
        for node in graph.nodes:
            self._of_class.setdefault(class_of(node), []).append(node)

    def downstream(self, node: str) -> frozenset[str]:
        """The nodes that a node acts on. One that the graph does not know acts as others of its class."""
        found = self._reach.get(node)
        if found is None:
            kind = class_of(node)
            alike = [reach for other, reach in self._reach.items() if class_of(other) == kind]
            found = frozenset({"outcome"}) if kind == "segment" else frozenset().union(*alike)
            if len(self._reach) < 4096:  # Segments that are found are few, but nothing bounds their number.
                self._reach[node] = found
        return found

    def suspects(self, evidence: Evidence) -> list[Suspect]:
        """By falling probability; none where there are no signals."""
        if not evidence.signals:
            return []
        groups = _groups(evidence.signals)
        scored = [
            (self._score(cause, signature, node, groups, evidence), node, cause)
            for cause, signature in SIGNATURES.items()
            for node in self._places(cause, signature, evidence.signals)
        ]
        nothing = sum(_weight(len(group)) * log(_FALSE) for group in groups.values())
        top = max([nothing, *(score for score, _, _ in scored)])
        whole = exp(nothing - top) + sum(exp(score - top) for score, _, _ in scored)
        ranked = sorted(((-exp(score - top) / whole, node, cause.value) for score, node, cause in scored))
        return [Suspect(node, cause, round(-share, 6)) for share, node, cause in ranked[:SUSPECTS_MAX]]

    def _places(self, cause: Cause, signature: Signature, signals: Sequence[Signal]) -> Iterator[str]:
        """The nodes at which a cause can be; of features and segments those with a signal, which are else too many."""
        seen = dict.fromkeys(one.series.node for one in signals)
        for kind in signature.where:
            if kind in ("feature", "segment"):
                yield from (node for node in seen if class_of(node) == kind)
            else:
                known = self._of_class.get(kind, [])
                yield from dict.fromkeys([*known, *(node for node in seen if class_of(node) == kind)])

    def _score(
        self, cause: Cause, signature: Signature, node: str, groups: Mapping[tuple[Kind, str], list[Signal]],
        evidence: Evidence,
    ) -> float:  # fmt: skip
        """The logarithm of prior times likelihood, up to a constant that all causes share."""
        places = sum(len(self._of_class.get(kind, ())) for kind in set(signature.where)) or 1
        score = log(signature.prior) - (log(places) / 2 if signature.where[0] in _MANY else 0.0)
        begins = self._begins(signature, node, evidence)
        for group in groups.values():
            logs = [log(self._share(signature, node, one, begins)) for one in group]
            score += _weight(len(group)) * sum(logs) / len(logs)
        score += _DOUBT * self._missing(signature, node, groups, evidence)
        if cause == Cause.SEGMENT:
            score += log(max(_relative(node, evidence.signals), _CHANCE))
        return score + self._change(signature, evidence)

    def _share(self, signature: Signature, node: str, signal: Signal, begins: int | None) -> float:
        """The share of cases with this cause in which this signal comes up."""
        if begins is not None and signal.since_high_ns < begins:
            return 2 * _CHANCE  # It was there before the cause.
        kind, at, place = signal.series.kind, signal.series.node, place_of(signal)
        if at == node and place not in OWN_PLACES:
            return max(signature.own(kind, node), _CHANCE)
        follows = self._follows(node, at)
        if at in self._labelled and (kind, LABELLED) in signature.raises:
            return signature.raises[kind, LABELLED]
        expected = signature.raises.get((kind, place), 0.0)
        if expected and (follows or place not in _MANY):
            return max(expected, _CHANCE)
        return _FOLLOWS if follows and kind in CONSEQUENCES else _CHANCE

    def _follows(self, node: str, at: str) -> bool:
        """Whether a place can be moved by a cause at a node; labels' causes come back through windows on them."""
        if class_of(at) == "segment" or at in self.downstream(node):
            return True
        return (node in ("outcome", "labels") or class_of(node) == "segment") and at in self._late

    def _begins(self, signature: Signature, node: str, evidence: Evidence) -> int | None:
        """The earliest time at which the cause itself can have begun; None where none of its own signals says so."""
        own = [
            one.since_low_ns
            for one in evidence.signals
            if one.series.node == node
            and place_of(one) not in OWN_PLACES
            and signature.own(one.series.kind, node) >= _EXPECTED
        ]
        return min(own) - _TIGHT_NS if own else None

    def _missing(
        self, signature: Signature, node: str, groups: Mapping[tuple[Kind, str], list[Signal]], evidence: Evidence
    ) -> float:
        """The logarithm of how often all the expected signals that have not come up would stay away."""
        age_ns = evidence.now_ns - evidence.onset[0]
        matures = self._graph.lag_ns.get("outcome", 0)
        score = 0.0
        for (kind, place), share in signature.raises.items():
            if share < _EXPECTED:
                continue
            at = class_of(node) if place == HERE else "feature" if place == LABELLED else place
            found = groups.get((kind, at), ())
            if any(place != HERE or one.series.node == node for one in found):
                continue
            if place in _SLOW or at in _SLOW:
                share *= min(1.0, age_ns / (2 * matures)) if matures else 1.0
            score += log(1 - min(share, 0.97))
        return score

    def _change(self, signature: Signature, evidence: Evidence) -> float:
        """The weight of a change near the onset, or of none."""
        low, high = evidence.onset
        near = {one.node for one in evidence.changes if low - evidence.slack_ns <= one.at_ns <= high + _TIGHT_NS}
        score = 0.0
        for node in ("version", "settings"):
            shares = _CHANGED if node in near else _UNCHANGED
            score += log(shares[0] if signature.logged == node else shares[1])
        return score


def _groups(signals: Sequence[Signal]) -> dict[tuple[Kind, str], list[Signal]]:
    """Signals by kind and class of place: forty features that move together are not forty times the evidence."""
    found: dict[tuple[Kind, str], list[Signal]] = {}
    for one in signals:
        found.setdefault((one.series.kind, place_of(one)), []).append(one)
    return found


def _relative(node: str, signals: Sequence[Signal]) -> float:
    """How far a segment stands out, from 1 for one that moves alone down to 0.2 for the first among equals.

    Where one segment is wrong, those that overlap with it move less; where all is wrong, all move alike.
    """
    own: dict[str, float] = {}
    others: dict[str, float] = {}
    for one in signals:
        if one.series.kind == Kind.SEGMENT and isfinite(one.effect):
            found = own if one.series.node == node else others
            found[one.series.name] = max(found.get(one.series.name, 0.0), abs(one.effect))
    ratios = [others.get(name, 0.0) / size for name, size in own.items() if size > 0]
    least = min(ratios, default=0.0)
    return 1 - 0.8 * least if least <= 1 else 0.2 / least


def _weight(n: int) -> float:
    """The weight of n signals of one kind and class.

    >>> _weight(1), _weight(16)
    (1.0, 2.0)
    """
    return 1 + log2(n) / 4
