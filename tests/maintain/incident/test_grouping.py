"""Signals become few incidents, which live, close and come back."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.made_signals import HOUR, a_signal, a_tick

from homeostat.config.causal import causal_graph
from homeostat.config.load import load_app
from homeostat.maintain.incident.grouping import ENDED, IncidentGrouping
from homeostat.maintain.incident.wording import story as worded
from homeostat.records.arrays import State
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.incidents import Incident, Phase, Severity, Silence
from homeostat.records.signals import BROKEN, Signal

GRAPH = causal_graph(load_app("payments"))


def a_grouping(**given: object) -> IncidentGrouping:
    return IncidentGrouping("payments", GRAPH, **given)  # type: ignore[arg-type]


def last_of(seen: Sequence[Incident]) -> dict[str, Incident]:
    return {one.id: one for one in seen}


def run(grouping: IncidentGrouping, story: dict[int, list[Signal]], end_h: int, start_h: int = 1) -> list[Incident]:
    """All incidents as they changed, hour by hour."""
    return [one for hour in range(start_h, end_h + 1) for one in grouping.group(a_tick(hour), story.get(hour, []))]


def test_quiet_ticks_make_no_incident() -> None:
    assert run(a_grouping(), {}, 48) == []


def test_one_fault_and_its_consequences_are_one_incident() -> None:
    story = {
        103: [a_signal("feature:ratio", "distribution"), a_signal("field:amount", "unit")],
        104: [a_signal("action:block", "actions"), a_signal("scorer:boosted", "distribution")],
        300: [a_signal("outcome", "quality", 101.0, 300.0)],
    }
    found = last_of(run(a_grouping(), story, 300))
    (incident,) = found.values()
    assert len(incident.signals) == 5
    assert len(incident.inhibited) == 4  # All but the unit of the field.
    assert (incident.suspects[0].node, incident.suspects[0].kind) == ("field:amount", "unit")
    assert incident.since_ns == 100 * HOUR
    assert incident.opened_ns == 103 * HOUR


def test_siblings_of_one_onset_are_one_incident() -> None:
    story = {103: [a_signal("entity:customer", "distribution"), a_signal("field:amount", "distribution")]}
    assert len(last_of(run(a_grouping(), story, 110))) == 1


def test_what_has_nothing_to_do_with_each_other_is_two_incidents() -> None:
    story = {103: [a_signal("settings", "configuration")], 104: [a_signal("labels", "delay")]}
    assert len(last_of(run(a_grouping(), story, 110))) == 2


def test_what_began_at_another_time_is_another_incident() -> None:
    story = {103: [a_signal("feature:ratio", "distribution")], 400: [a_signal("feature:night", "distribution", 397.0)]}
    assert len(last_of(run(a_grouping(), story, 410))) == 2


def test_a_vague_onset_joins_the_sure_ones_of_its_tick_and_not_an_old_incident() -> None:
    story = {
        103: [a_signal("feature:ratio", "distribution")],
        400: [
            a_signal("field:amount", "distribution", 398.0, 400.0, wide_h=300.0),
            a_signal("field:amount", "unit", 398.0, 400.0), a_signal("feature:night", "distribution", 398.0, 400.0),
        ],
    }  # fmt: skip
    found = sorted(last_of(run(a_grouping(), story, 410)).values(), key=lambda one: one.opened_ns)
    assert [len(one.signals) for one in found] == [1, 3]


def test_outcomes_may_follow_a_week_later() -> None:
    story = {
        103: [a_signal("field:amount", "unit"), a_signal("action:block", "actions")],
        280: [a_signal("outcome", "quality", 270.0, 280.0)],
    }
    assert len(last_of(run(a_grouping(), story, 290))) == 1


def test_outcomes_do_not_follow_from_what_changed_no_decision() -> None:
    story = {103: [a_signal("source", "duplicates")], 280: [a_signal("outcome", "quality", 270.0, 280.0)]}
    assert len(last_of(run(a_grouping(), story, 290))) == 2


def test_what_moves_no_decision_is_low_unless_outcomes_differ() -> None:
    idle = a_signal("field:amount", "unit", decisions=0.0)
    (one,) = a_grouping().group(a_tick(103), [idle])
    assert (one.severity, one.decisions, one.notes["impact"]) == (Severity.LOW, 0, "measured")
    (two,) = a_grouping().group(a_tick(103), [idle, a_signal("outcome", "concept")])
    assert (two.severity, two.notes["impact"]) == (Severity.MEDIUM, "at most")
    (three,) = a_grouping().group(a_tick(103), [idle, a_signal("outcome", "base_rate")])
    assert (three.severity, three.notes["impact"]) == (Severity.LOW, "measured")


def test_severity_is_the_worse_of_cost_and_decisions_unless_outcomes_say_the_cost() -> None:
    def of(*signals: Signal) -> Incident:
        grouping = a_grouping(costs=lambda tick: np.full(len(tick), 2.0))
        for hour in range(1, 103):
            grouping.group(a_tick(hour), [])
        (one,) = grouping.group(a_tick(103), signals)
        return one

    moved = a_signal("action:block", "actions", decisions=0.3)
    assert of(moved).severity == Severity.HIGH  # By risk, these decisions cost no more than others.
    measured = of(moved, a_signal("outcome", "quality", cost=1.5))
    assert (measured.severity, measured.cost_per_hour) == (Severity.MEDIUM, 1.5)


def test_segments_labels_and_outcomes_of_one_onset_are_one_incident() -> None:
    story = {
        163: [a_signal("labels", "delay", 152.0, 163.0)],
        193: [a_signal("segment:night", "segment", 138.0, 193.0, wide_h=15.0)],
        247: [a_signal("labels", "delay", 202.0, 247.0, name="later age")],
        283: [a_signal("outcome", "quality", 268.0, 283.0), a_signal("segment:day", "segment", 268.0, 283.0)],
    }
    assert len(last_of(run(a_grouping(), story, 290))) == 1


def test_a_label_flip_is_no_consequence_of_a_unit() -> None:
    story = {103: [a_signal("labels", "flips"), a_signal("outcome", "quality"), a_signal("field:amount", "unit")]}
    found = last_of(run(a_grouping(), story, 110))
    inhibited = {id for one in found.values() for id in one.inhibited}
    assert inhibited == {a_signal("outcome", "quality").id}


def test_the_same_signal_again_changes_nothing() -> None:
    grouping, signal = a_grouping(), a_signal("field:amount", "unit")
    assert len(grouping.group(a_tick(103), [signal])) == 1
    assert grouping.group(a_tick(104), [signal]) == []


def test_a_signal_that_goes_on_changes_its_incident_once_a_day() -> None:
    story = {103 + hour: [a_signal("field:amount", "unit", at_h=103.0 + hour)] for hour in range(60)}
    assert [one.updated_ns // HOUR for one in run(a_grouping(), story, 160)] == [103, 127, 151]


def test_a_cost_is_nobodys_where_no_signal_shows_that_decisions_differ() -> None:
    grouping = a_grouping(costs=lambda tick: np.full(len(tick), 2.0))
    (one,) = grouping.group(a_tick(103), [a_signal("scorer:boosted", "distribution")])
    assert np.isnan(one.cost)
    assert one.severity == Severity.MEDIUM


def test_a_signal_that_comes_back_joins_an_open_incident_before_a_closed_one() -> None:
    story = {
        10: [a_signal("scorer:boosted", "distribution", 8.0)],
        12: [a_signal("scorer:boosted", "distribution", 8.0, 12.0, still=False)],
        103: [a_signal("field:amount", "unit")],
        104: [a_signal("scorer:boosted", "distribution")],
    }
    found = list(last_of(run(a_grouping(), story, 110)).values())
    assert [(len(one.signals), one.phase) for one in found] == [(1, Phase.CLOSED), (2, Phase.OPEN)]


def test_an_incident_closes_by_itself_and_says_why() -> None:
    ended = a_signal("field:amount", "unit", at_h=110.0, still=False)
    seen = run(a_grouping(), {103: [a_signal("field:amount", "unit")], 110: [ended]}, 140)
    assert [one.phase for one in seen] == [Phase.OPEN, Phase.OPEN, Phase.CLOSED]
    assert (seen[-1].reason, seen[-1].closed_ns) == (ENDED, 134 * HOUR)
    assert [one.revision for one in seen] == [1, 2, 3]


def test_an_incident_whose_signal_comes_back_is_opened_again() -> None:
    story = {
        103: [a_signal("field:amount", "unit")],
        110: [a_signal("field:amount", "unit", at_h=110.0, still=False)],
        200: [a_signal("field:amount", "unit", 198.0)],
    }
    found = last_of(run(a_grouping(), story, 205))
    (incident,) = found.values()
    assert (incident.phase, incident.reopened, incident.closed_ns, incident.reason) == (Phase.OPEN, 1, 0, "")


def test_after_more_than_a_week_it_is_a_new_one() -> None:
    story = {
        103: [a_signal("field:amount", "unit")],
        110: [a_signal("field:amount", "unit", at_h=110.0, still=False)],
        400: [a_signal("field:amount", "unit", 398.0)],
    }
    assert len(last_of(run(a_grouping(), story, 405))) == 2


def test_a_persons_close_stands_while_the_same_signal_goes_on() -> None:
    grouping = a_grouping()
    (first,) = grouping.group(a_tick(103), [a_signal("field:amount", "unit")])
    closed = replace(first, revision=2, phase=Phase.CLOSED, reason="known", closed_ns=104 * HOUR)
    grouping.take([closed], None)
    daily = {103 + 24 * day: [a_signal("field:amount", "unit", at_h=103.0 + 24 * day)] for day in range(1, 20)}
    assert run(grouping, daily, 600, start_h=105) == []


def test_an_older_revision_of_another_teaches_nothing() -> None:
    grouping = a_grouping()
    (first,) = grouping.group(a_tick(103), [a_signal("field:amount", "unit")])
    grouping.take([replace(first, revision=0, phase=Phase.CLOSED)], None)
    (later,) = grouping.group(a_tick(104), [a_signal("feature:ratio", "distribution")])
    assert later.phase == Phase.OPEN


def test_silences_hide_an_incident_only_if_they_cover_every_signal_that_counts() -> None:
    grouping = a_grouping()
    silence = Silence("1", "field:*", "unit", 0, 500 * HOUR, "ann", "a migration")
    grouping.take([], [silence])
    (one,) = grouping.group(a_tick(103), [a_signal("field:amount", "unit"), a_signal("feature:ratio", "distribution")])
    assert one.silenced_until_ns == 500 * HOUR  # The feature's signal is a consequence.
    other = a_grouping()
    other.take([], [silence])
    (two,) = other.group(a_tick(103), [a_signal("field:amount", "unit"), a_signal("field:amount", "missing")])
    assert two.silenced_until_ns == 0


def test_the_impact_counts_decisions_entities_and_money_since_the_onset() -> None:
    grouping = a_grouping(costs=lambda tick: np.full(len(tick), 2.0 if tick.end_ns <= 100 * HOUR else 5.0))
    for hour in range(1, 103):
        grouping.group(a_tick(hour, n=60, keys=40, first=1000 * (hour % 3)), [])
    signals = [a_signal("field:amount", "unit", decisions=0.5), a_signal("action:block", "actions")]
    (one,) = grouping.group(a_tick(103, n=60, keys=40), signals)
    assert one.decisions == round(0.5 * 3 * 60)
    assert abs(one.entities - 120 * (1 - 0.5**1.5)) < 20
    assert one.cost_per_hour == pytest.approx(60 * 3.0)
    assert one.cost == pytest.approx(3 * 60 * 3.0)
    assert one.severity == Severity.CRITICAL
    assert one.notes["impact"] == "measured"


def test_a_signals_own_cost_wins_and_no_cost_leaves_the_share_of_decisions() -> None:
    (one,) = a_grouping(costs=lambda tick: np.full(len(tick), 2.0)).group(
        a_tick(103), [a_signal("outcome", "quality", cost=7.5)]
    )
    assert one.cost_per_hour == 7.5
    (two,) = a_grouping().group(a_tick(103), [a_signal("outcome", "quality", decisions=0.2)])
    assert (two.severity, np.isnan(two.cost)) == (Severity.HIGH, True)


def test_a_deploy_near_the_onset_is_suspected() -> None:
    change = Change(ChangeKind.DEPLOY, "champion", {"version": "b7"}, "ann", "better", number=4, at_ns=100 * HOUR)
    signals = [a_signal("scorer:boosted", "distribution"), a_signal("fusion", "distribution")]
    with_change, without = a_grouping(), a_grouping()
    with_change.group(a_tick(100, changes=(change,)), [])
    assert with_change.group(a_tick(103), signals)[0].suspects[0].node == "version"
    assert without.group(a_tick(103), signals)[0].suspects[0].node != "version"


def test_another_version_that_decides_counts_as_a_deploy() -> None:
    grouping = a_grouping()
    grouping.group(a_tick(100, version="v1"), [])
    grouping.group(a_tick(101, version="v2"), [])
    (one,) = grouping.group(
        a_tick(103, version="v2"), [a_signal("scorer:boosted", "distribution"), a_signal("fusion", "distribution")]
    )
    assert one.suspects[0].node == "version"


STORIES = st.dictionaries(
    st.integers(1, 60),
    st.lists(
        st.builds(
            a_signal,
            st.sampled_from(["field:amount", "feature:ratio", "outcome", "labels", "serving", "segment:night"]),
            st.sampled_from(["unit", "distribution", "quality", "flips", "latency"]),
            st.floats(0, 40), st.floats(40, 60), still=st.booleans(),
        ),
        max_size=3,
    ),
    max_size=8,
)  # fmt: skip


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[k], other[k], equal_nan=one[k].dtype.kind == "f") for k in one
    )


@pytest.mark.long
@settings(max_examples=20, deadline=None)
@given(STORIES, st.integers(2, 79))
def test_a_restart_between_ticks_changes_nothing(story: dict[int, list[Signal]], cut: int) -> None:
    whole, first, second = a_grouping(), a_grouping(), a_grouping()
    expected = run(whole, story, 80)
    seen = run(first, story, cut)
    second.restore(first.state())
    seen += run(second, story, 80, start_h=cut + 1)
    assert [str(one) for one in seen] == [str(one) for one in expected]
    assert same(second.state(), whole.state())


@settings(max_examples=20, deadline=None)
@given(STORIES)
def test_whatever_comes_revisions_count_and_every_signal_that_holds_is_somewhere(
    story: dict[int, list[Signal]],
) -> None:
    seen = run(a_grouping(), story, 80)
    counted: dict[str, int] = {}
    for one in seen:
        assert one.revision == counted.get(one.id, 0) + 1
        counted[one.id] = one.revision
        assert set(one.inhibited) <= set(one.signals)
    known = {id.partition("@")[0] for one in last_of(seen).values() for id in one.signals}
    assert known == {one.series.key for signals in story.values() for one in signals if one.still}


def test_the_memory_does_not_grow_with_time() -> None:
    grouping = a_grouping()
    sizes = []
    for hour in range(1, 2400):
        if hour % 300 == 0:
            grouping.group(a_tick(hour), [a_signal("field:amount", "unit", hour - 2.0, hour)])
        elif hour % 300 == 20:
            grouping.group(a_tick(hour), [a_signal("field:amount", "unit", hour - 22.0, hour, still=False)])
        else:
            grouping.group(a_tick(hour), [])
        if hour % 300 == 299:
            sizes.append(sum(one.nbytes for one in grouping.state().values()))
    assert max(sizes[2:]) < 1.1 * max(sizes[:2])


def test_an_incident_says_that_outcomes_contradict_the_estimates_as_long_as_they_do() -> None:
    broken = replace(a_signal("outcome", "concept", 101.0), notes={BROKEN: True})
    over = replace(broken, still=False)
    grouping = a_grouping()
    (first,) = last_of(run(grouping, {103: [broken]}, 104)).values()
    assert first.notes[BROKEN] is True and "assumption broken" in worded(first, [broken])
    (later,) = last_of(run(grouping, {128: [over]}, 129, 105)).values()
    assert BROKEN not in later.notes and "assumption broken" not in worded(later, [over])
