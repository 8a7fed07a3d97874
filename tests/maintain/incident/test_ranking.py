"""Suspects by signals alone."""

from dataclasses import replace

import pytest
from tests.support.made_signals import DAY, HOUR, a_signal

from homeostat.config.causal import causal_graph
from homeostat.config.load import load_app
from homeostat.maintain.incident.ranking import Evidence, Logged, Ranking
from homeostat.maintain.incident.signatures import SIGNATURES, class_of
from homeostat.records.causes import Cause
from homeostat.records.signals import Signal

GRAPH = causal_graph(load_app("payments"))
RANKING = Ranking(GRAPH)
MOVED = ["feature:ratio", "feature:ratio_evidence", "feature:large_amount", "feature:customer_mean_amount_1d"]


def evidence(*signals: Signal, now_h: float = 130.0, changes: tuple[Logged, ...] = ()) -> Evidence:
    return Evidence(signals, changes, int(now_h * HOUR), 26 * HOUR)


def moved(since_h: float = 100.0) -> list[Signal]:
    return [a_signal(node, "distribution", since_h) for node in MOVED]


VERSION = (Logged("version", 100 * HOUR),)
SETTINGS = (Logged("settings", 101 * HOUR),)
LATE_H = 100 + 16 * 24

CASES = [
    ("field:amount", "unit", [a_signal("field:amount", "unit"), *moved()], ()),
    ("field:amount", "missing", [a_signal("field:amount", "missing"), *moved()], ()),
    ("field:amount", "frozen", [a_signal("field:amount", "frozen"), *moved()], ()),
    ("field:amount", "schema", [a_signal("field:amount", "schema"), a_signal("source", "volume")], ()),
    ("source", "duplicates", [a_signal("source", "duplicates"),
                              a_signal("feature:customer_count_1d", "distribution")], ()),
    ("source", "late", [a_signal("source", "late")], ()),
    ("source", "flood", [a_signal("entity:customer", "flood"), a_signal("source", "volume"), *moved()], ()),
    ("source", "calendar", [a_signal("source", "volume"), a_signal("field:amount", "distribution")], ()),
    ("source", "population", [a_signal("source", "distribution"),
                              a_signal("field:amount", "distribution"), *moved()], ()),
    ("time", "clock", [a_signal("time", "clock"), a_signal("feature:night", "distribution")], ()),
    ("labels", "label_delay", [a_signal("labels", "delay"), a_signal("outcome", "base_rate")], ()),
    ("labels", "label_delay", [a_signal("labels", "delay", name="mean age of reports")], ()),
    ("outcome", "base_rate", [a_signal("labels", "delay", name="known at 0.1 of maturity"),
                              a_signal("outcome", "base_rate"), a_signal("outcome", "calibration")], ()),
    ("labels", "label_flips", [a_signal("labels", "flips"), a_signal("outcome", "quality")], ()),
    ("labels", "poisoning", [a_signal("labels", "poisoning"), a_signal("labels", "flips")], ()),
    ("outcome", "concept", [a_signal("outcome", "concept"), a_signal("outcome", "quality")], ()),
    ("outcome", "base_rate", [a_signal("outcome", "base_rate"), a_signal("outcome", "calibration")], ()),
    ("segment:amount > 9", "segment", [a_signal("segment:amount > 9", "segment"), a_signal("outcome", "quality")], ()),
    ("feature:night", "skew", [a_signal("feature:night", "skew")], ()),
    ("version", "version", [a_signal("version", "version"), a_signal("fusion", "distribution")], VERSION),
    ("version", "version", [a_signal("scorer:boosted", "distribution", name="unexplained mean"),
                            a_signal("outcome", "quality")], VERSION),
    ("settings", "configuration", [a_signal("action:block", "actions"), a_signal("action:allow", "actions")], SETTINGS),
    ("environment", "environment", [a_signal("scorer:boosted", "distribution", name="unexplained mean"),
                                    a_signal("fusion", "distribution", name="unexplained mean")], ()),
    ("dependency:feature_store", "outage", [a_signal("dependency:feature_store", "outage"),
                                            a_signal("action:challenge", "actions")], ()),
    ("serving", "latency", [a_signal("serving", "latency")], ()),
    ("entity:customer", "adversary", [a_signal("policy", "probing"), a_signal("entity:customer", "distribution")], ()),
]  # fmt: skip


@pytest.mark.parametrize(("node", "cause", "signals", "changes"), CASES, ids=[f"{c[1]}-{c[0]}" for c in CASES])
def test_a_cause_is_first_where_its_own_marks_are(
    node: str, cause: str, signals: list[Signal], changes: tuple[Logged, ...]
) -> None:
    found = RANKING.suspects(evidence(*signals, changes=changes, now_h=LATE_H))
    assert (found[0].node, found[0].kind) == (node, cause), found[:4]
    assert sum(one.probability for one in found) <= 1 + 1e-9
    assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)


def test_every_cause_has_a_signature_and_a_place() -> None:
    assert set(SIGNATURES) == set(Cause)
    classes = {class_of(node) for node in GRAPH.nodes} | {"segment"}
    for signature in SIGNATURES.values():
        assert set(signature.where) <= classes
        assert {place for _, place in signature.raises} <= classes | {"here", "labelled", "unexplained", "sooner"}
        assert all(0 < share < 1 for share in signature.raises.values())


def test_no_signal_has_no_suspect() -> None:
    assert RANKING.suspects(evidence()) == []


def test_one_weak_mark_leaves_room_for_nothing_at_all() -> None:
    found = RANKING.suspects(evidence(a_signal("feature:night", "distribution")))
    assert sum(one.probability for one in found) < 0.9


def test_a_cause_cannot_have_begun_after_its_effects() -> None:
    early = [a_signal(node, "distribution", 20.0) for node in MOVED]
    before = RANKING.suspects(evidence(a_signal("field:amount", "unit", 20.0), *early))
    after = RANKING.suspects(evidence(a_signal("field:amount", "unit", 120.0), *early))

    def share(found: list) -> float:
        return next((one.probability for one in found if one.kind == "unit"), 0.0)

    assert share(after) < share(before)


def test_a_change_near_the_onset_counts_and_one_long_before_does_not() -> None:
    nodes = ("fusion", "scorer:boosted")
    signals = [a_signal(node, "distribution", 500.0, name="unexplained mean") for node in nodes]
    near = RANKING.suspects(evidence(*signals, changes=(Logged("version", 499 * HOUR),), now_h=510))
    far = RANKING.suspects(evidence(*signals, changes=(Logged("version", 200 * HOUR),), now_h=510))
    assert near[0].kind == "version"
    assert far[0].kind == "environment"


def test_an_unseen_expectation_of_outcomes_counts_only_once_they_can_be_known() -> None:
    signals = [a_signal("outcome", "base_rate", 100.0)]
    soon = RANKING.suspects(evidence(*signals, now_h=110))
    late = RANKING.suspects(evidence(*signals, now_h=100 + 2 * 7 * 24 + 1))
    concept = [next(one.probability for one in found if one.kind == "concept") for found in (soon, late)]
    assert concept[1] < concept[0]
    assert GRAPH.lag_ns["outcome"] == 7 * DAY


def test_a_node_that_the_graph_does_not_know_acts_as_those_of_its_class() -> None:
    assert "outcome" in RANKING.downstream("feature:of_a_plugin")
    assert RANKING.downstream("segment:amount > 1") == {"outcome"}
    assert RANKING.downstream("nothing:like_it") == frozenset()


def test_of_several_segments_the_one_that_moved_most_is_suspected_first() -> None:
    small, large = (
        replace(a_signal(f"segment:hour {hour}", "segment"), effect=effect) for hour, effect in ((1, 0.03), (2, 0.2))
    )
    found = [one for one in RANKING.suspects(evidence(small, large)) if one.kind == "segment"]
    assert [one.node for one in found] == ["segment:hour 2", "segment:hour 1"]
    assert found[0].probability > 3 * found[1].probability


def test_two_faults_at_once_are_both_among_the_first() -> None:
    signals = [
        a_signal("field:amount", "unit"), *moved(), a_signal("version", "version"),
        a_signal("scorer:forest", "distribution"), a_signal("outcome", "quality"),
    ]  # fmt: skip
    found = RANKING.suspects(evidence(*signals, changes=VERSION, now_h=LATE_H))
    assert {"field:amount", "version"} <= {one.node for one in found[:3]}
