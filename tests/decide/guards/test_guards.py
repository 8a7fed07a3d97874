"""Guards: precedence, validity, breakers, and the same rulings however the events came."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeostat.decide.guards.engine import Guards
from homeostat.decide.guards.plan import (
    BY_BREAKER,
    BY_FALLBACK,
    NEVER_NS,
    NO_RULE,
    BreakerPlan,
    FallbackPlan,
    GuardPlan,
    Names,
    Rule,
)
from homeostat.decide.guards.rehearsal import Tried, rehearse
from homeostat.decide.guards.wording import lines, worded_row
from homeostat.expressions import ALWAYS, FOREVER, ExpressionError, Membership, Type
from homeostat.records.decisions import DecisionBatch, Fused, Proposal, Ruling, Scores
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.reasons import Fallback
from homeostat.records.vocabulary import Vocabulary

ALLOW, CHALLENGE, BLOCK = 0, 1, 2
ACTIONS = ("allow", "challenge", "block")
NAMES = Names(
    [("amount", Type.NUMBER), ("count_1d", Type.NUMBER)], ["customer"], ["forest"], {"denied": (0, "customer")}
)
LISTS = Membership.build([(0, (7, 0), 100, 200), (0, (8, 0), ALWAYS, FOREVER)])
RULES = (
    Rule("denied", "customer in denied", BLOCK, priority=100, reason="The customer is on the deny list."),
    Rule("large", "amount > 100", CHALLENGE, priority=5, since_ns=50, until_ns=300),
    Rule("certain", "risk > 0.9 and score_forest > 0.9", BLOCK, priority=5),
    Rule("busy", "count_1d >= 10", ALLOW, priority=7),
)
BREAKER = BreakerPlan(action=BLOCK, share_max=0.3, over_ns=600, events_min=4, instead=CHALLENGE)
PLAN = GuardPlan(ACTIONS, FallbackPlan(scorers_absent=CHALLENGE, policy=None, deadline=ALLOW), RULES, (BREAKER,))


def batch_of(rows: list[dict[str, float]]) -> DecisionBatch:
    """Decisions of rows that name time, customer, amount, count, score, risk, proposed, fallback, explored."""

    def column(name: str, default: float, kind: type = np.float64) -> np.ndarray:
        return np.array([row.get(name, default) for row in rows], dtype=kind)

    n = len(rows)
    values = np.stack([column("amount", 1.0), column("count", 0.0)], axis=1).reshape(n, 2)
    events = EventBatch(
        np.arange(n), column("time", 0, np.int64), column("customer", 1, np.int64)[:, None],
        values[:, :1].copy(), np.full(n, np.nan), np.zeros(n, np.uint8),
    )  # fmt: skip
    score = column("score", 0.5)[:, None]
    proposal = Proposal(
        column("proposed", ALLOW, np.int16),
        np.full((n, 3), 1 / 3),
        column("explored", 0, np.uint8),
        np.zeros(n, np.uint8),
    )
    return DecisionBatch(
        events,
        Features(("amount", "count_1d"), values, np.zeros(values.shape, np.uint8)),
        Scores(("forest",), score, np.ones(score.shape), np.zeros(n, np.uint8)),
        Fused(column("risk", 0.1), np.zeros(score.shape)),
        proposal,
        Ruling(proposal.action, np.full(n, -1, np.int16), np.zeros(n, np.uint64)),
        column("fallback", 0, np.uint8),
        "test",
        0.0,
    )


def rulings(guards: Guards, rows: list[dict[str, float]]) -> list[tuple[int, int, int]]:
    if not rows:
        return []
    b = batch_of(rows)
    r = guards.rule(b.events, b.features, b.scores, b.fused, b.proposal, b.fallback.astype(np.int64))
    assert (r.action.dtype, r.rule.dtype, r.hits.dtype) == (np.int16, np.int16, np.uint64)
    return list(zip(r.action.tolist(), r.rule.tolist(), r.hits.tolist()))


class NaiveGuards:
    """Precedence and breakers in the plainest words: every decision is kept, every count is made again."""

    def __init__(self, plan: GuardPlan) -> None:
        self.plan = plan
        self.past: list[tuple[int, int]] = []

    def holds(self, rule: Rule, row: dict[str, float]) -> bool:
        time = row.get("time", 0)
        value = {
            "denied": row.get("customer") == 8 or (row.get("customer") == 7 and 100 <= time < 200),
            "large": row.get("amount", 1) > 100,
            "certain": row.get("risk", 0.1) > 0.9 and row.get("score", 0.5) > 0.9,
            "busy": row.get("count", 0) >= 10,
        }[rule.name]
        return value and rule.since_ns <= time < rule.until_ns

    def rule(self, row: dict[str, float]) -> tuple[int, int, int]:
        now = max([int(row.get("time", 0)), *(time for time, _ in self.past)])
        held = [at for at, rule in enumerate(self.plan.rules) if self.holds(rule, row)]
        hits = sum(1 << at for at in held)
        action, decided = int(row.get("proposed", ALLOW)), NO_RULE
        fallen = self.plan.fallback.action(int(row.get("fallback", 0)))
        if held:
            decided = min(held, key=lambda at: (-self.plan.rules[at].priority, at))
            action = self.plan.rules[decided].action
        elif fallen is not None:
            action, decided = fallen, BY_FALLBACK
        else:
            broken = self.broken(action, now)
            if broken != action:
                action, decided = broken, BY_BREAKER
        self.past.append((now, action))
        return action, decided, hits

    def broken(self, action: int, now: int) -> int:
        left = list(self.plan.breakers)
        while True:
            tripped = next((b for b in left if b.action == action and self.trips(b, now)), None)
            if tripped is None:
                return action
            left.remove(tripped)
            action = tripped.instead

    def trips(self, breaker: BreakerPlan, now: int) -> bool:
        step = max(1, breaker.over_ns // 60)
        recent = [action for time, action in self.past if time // step > now // step - 60]
        total, taken = len(recent) + 1, recent.count(breaker.action) + 1
        return total >= breaker.events_min and taken > breaker.share_max * total


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.integers(-50, 2000),
            "customer": st.sampled_from([1, 7, 8]),
            "amount": st.sampled_from([1.0, 100.0, 101.0, np.nan]),
            "count": st.sampled_from([0.0, 0.0, 0.0, 10.0]),
            "score": st.sampled_from([0.5, 0.95, np.nan]),
            "risk": st.sampled_from([0.1, 0.95]),
            "proposed": st.sampled_from([ALLOW, CHALLENGE, BLOCK, BLOCK]),
            "fallback": st.sampled_from([0, 0, 0, 1, 4, 8, 16, 32, 36]),
            "explored": st.integers(0, 1),
        }
    ),
    max_size=60,
)
BREAKERS = st.lists(
    st.builds(
        BreakerPlan,
        action=st.integers(0, 2),
        share_max=st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0]),
        over_ns=st.sampled_from([1, 60, 90, 600, 1 << 60]),
        events_min=st.integers(1, 6),
        instead=st.integers(0, 2),
    ),
    max_size=4,
)
FALLBACKS = st.builds(
    FallbackPlan,
    scorers_absent=st.integers(0, 2),
    policy=st.none() | st.integers(0, 2),
    deadline=st.none() | st.integers(0, 2),
)


@pytest.mark.long
@given(ROWS, BREAKERS, FALLBACKS)
@settings(max_examples=150, deadline=None)
def test_guards_equal_their_naive_twin(
    rows: list[dict[str, float]], breakers: list[BreakerPlan], fallback: FallbackPlan
) -> None:
    plan = GuardPlan(ACTIONS, fallback, RULES, tuple(breakers))
    naive = NaiveGuards(plan)
    assert rulings(Guards(plan, NAMES, LISTS), rows) == [naive.rule(row) for row in rows]


@pytest.mark.long
@given(ROWS, st.lists(st.integers(0, 60), max_size=5), BREAKERS)
@settings(max_examples=100, deadline=None)
def test_batches_and_restarts_make_no_difference(
    rows: list[dict[str, float]], cuts: list[int], breakers: list[BreakerPlan]
) -> None:
    plan = replace(PLAN, breakers=tuple(breakers))
    whole = rulings(Guards(plan, NAMES, LISTS), rows)
    guards, parts = Guards(plan, NAMES, LISTS), []
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, stop in itertools.pairwise(edges):
        parts += rulings(guards, rows[start:stop])
        state = guards.state()
        guards = Guards(plan, NAMES, LISTS)
        guards.restore(state)
    assert parts == whole


@pytest.mark.parametrize(
    ("row", "action", "decided"),
    [
        ({"proposed": BLOCK}, BLOCK, NO_RULE),
        ({"fallback": Fallback.SCORERS_ABSENT}, CHALLENGE, BY_FALLBACK),
        ({"fallback": Fallback.SCORER_LATE, "proposed": BLOCK}, BLOCK, NO_RULE),
        ({"fallback": Fallback.POLICY_FAILED, "proposed": BLOCK}, BLOCK, NO_RULE),
        ({"fallback": Fallback.DEADLINE | Fallback.SCORERS_ABSENT, "proposed": BLOCK}, ALLOW, BY_FALLBACK),
        ({"fallback": Fallback.DEADLINE, "customer": 8}, BLOCK, 0),
        ({"customer": 8, "explored": 1, "proposed": ALLOW}, BLOCK, 0),
        ({"customer": 8, "count": 10, "amount": 101, "time": 60}, BLOCK, 0),
        ({"count": 10, "amount": 101, "time": 60}, ALLOW, 3),
        ({"amount": 101, "risk": 0.95, "score": 0.95, "time": 60}, CHALLENGE, 1),
        ({"amount": 101, "time": 49}, ALLOW, NO_RULE),
        ({"amount": 101, "time": 299}, CHALLENGE, 1),
        ({"amount": 101, "time": 300}, ALLOW, NO_RULE),
        ({"customer": 7, "time": 99}, ALLOW, NO_RULE),
        ({"customer": 7, "time": 199}, BLOCK, 0),
        ({"customer": 7, "time": 200}, ALLOW, NO_RULE),
    ],
)
def test_rules_go_before_fallbacks_and_fallbacks_before_the_policy(
    row: dict[str, float], action: int, decided: int
) -> None:
    assert rulings(Guards(PLAN, NAMES, LISTS), [row])[0][:2] == (action, decided)


def test_a_breaker_limits_what_the_policy_does_but_never_a_rule_or_a_fallback() -> None:
    guards = Guards(PLAN, NAMES, LISTS)
    flood = [{"proposed": BLOCK, "time": k} for k in range(10)]
    decided = rulings(guards, flood)
    assert [d[0] for d in decided[3:]] == [CHALLENGE] * 7
    assert {d[1] for d in decided[3:]} == {BY_BREAKER}
    assert rulings(guards, [{"proposed": BLOCK, "customer": 8, "time": 10}])[0][:2] == (BLOCK, 0)


def test_a_breaker_keeps_the_share_at_its_limit() -> None:
    decided = rulings(Guards(PLAN, NAMES, LISTS), [{"proposed": BLOCK, "time": k // 10} for k in range(3000)])
    share = np.mean([action == BLOCK for action, _, _ in decided[4:]])
    assert 0.29 <= share <= 0.3


def test_a_late_event_counts_as_recent_and_moves_nothing_back() -> None:
    guards = Guards(PLAN, NAMES, LISTS)
    rulings(guards, [{"time": 10_000}] * 3)
    before = guards.state()["breaker_marks"].copy()
    rulings(guards, [{"time": -(10**15)}])
    after = guards.state()["breaker_marks"]
    assert (after - before).tolist() == [[0, 1, 0, 0]]


def test_state_of_other_breakers_is_refused() -> None:
    longer = replace(PLAN, breakers=(replace(PLAN.breakers[0], over_ns=2 * PLAN.breakers[0].over_ns),))
    with pytest.raises(ValueError, match="no breaker that counts"):
        Guards(longer, NAMES).restore(Guards(PLAN, NAMES).state())


def test_a_breaker_takes_its_own_counts_over_whatever_others_are_declared_beside_it() -> None:
    other = replace(PLAN.breakers[0], action=CHALLENGE)
    both = Guards(replace(PLAN, breakers=(*PLAN.breakers, other)), NAMES, LISTS)
    rulings(both, [{"proposed": BLOCK, "time": k} for k in range(10)])
    looser = replace(PLAN.breakers[0], share_max=0.9, events_min=1)
    turned = Guards(replace(PLAN, breakers=(other, looser)), NAMES, LISTS)
    turned.restore(both.state())
    assert turned.state()["breaker_counts"].tolist() == both.state()["breaker_counts"][::-1].tolist()
    assert turned.state()["breaker_marks"].tolist() == both.state()["breaker_marks"][::-1].tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 2)), max_size=60))
def test_decisions_that_are_followed_count_as_those_that_are_made(made: list[tuple[int, int]]) -> None:
    deciding, following = Guards(PLAN, NAMES, LISTS), Guards(PLAN, NAMES, LISTS)
    rows = [{"proposed": action, "time": time} for time, action in made]
    taken = [action for action, _, _ in rulings(deciding, rows)]
    if rows:
        following.follow(batch_of(rows).events, np.array(taken, np.int16))
    mine, theirs = deciding.state(), following.state()
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


def test_read_only_and_strided_columns_are_ruled_alike() -> None:
    rows = [{"customer": k % 9, "amount": 99.0 + k, "time": 60 + k, "proposed": BLOCK} for k in range(20)]
    b = batch_of(rows)
    wide = np.repeat(b.features.values, 2, axis=1)[:, ::2]
    wide.flags.writeable = False
    times = np.repeat(b.events.time_ns, 2)[::2]
    times.flags.writeable = False
    odd = Guards(PLAN, NAMES, LISTS).rule(
        replace(b.events, time_ns=times),
        replace(b.features, values=wide),
        b.scores,
        b.fused,
        b.proposal,
        b.fallback.astype(np.int64),
    )
    assert odd.action.tolist() == [action for action, _, _ in rulings(Guards(PLAN, NAMES, LISTS), rows)]


def test_other_lists_take_over_without_forgetting_the_breakers() -> None:
    guards = Guards(PLAN, NAMES, LISTS)
    rulings(guards, [{"proposed": BLOCK}] * 5)
    other = guards.with_lists(Membership.build([(0, (1, 0), ALWAYS, FOREVER)]))
    assert rulings(other, [{"customer": 8, "proposed": BLOCK}, {"customer": 1}]) == [
        (CHALLENGE, BY_BREAKER, 0),
        (BLOCK, 0, 1),
    ]


def test_a_plan_names_all_that_is_wrong_with_it() -> None:
    with pytest.raises(ValueError, match=r"no action 9.*makes no sense"):
        GuardPlan(ACTIONS, FallbackPlan(9), (), (BreakerPlan(0, 0.1, 0, 1, 1),))
    with pytest.raises(ValueError, match="65 rules"):
        GuardPlan(ACTIONS, FallbackPlan(0), (RULES[0],) * 65)
    with pytest.raises(ExpressionError, match="a rule needs a condition"):
        Guards(GuardPlan(ACTIONS, FallbackPlan(0), (Rule("sum", "amount + 1", BLOCK),)), NAMES)


def test_sixty_four_rules_each_have_a_bit() -> None:
    rules = tuple(Rule(f"r{k}", f"amount >= {k}", BLOCK, priority=k) for k in range(64))
    guards = Guards(GuardPlan(ACTIONS, FallbackPlan(0), rules), NAMES)
    assert rulings(guards, [{"amount": 63}, {"amount": -1}]) == [(BLOCK, 63, (1 << 64) - 1), (ALLOW, NO_RULE, 0)]


def test_a_ruling_is_worded_with_every_rule_that_held() -> None:
    b = batch_of([{"customer": 8, "amount": 101, "time": 60}, {"fallback": 4}])
    ruling = Guards(PLAN, NAMES, LISTS).rule(
        b.events, b.features, b.scores, b.fused, b.proposal, b.fallback.astype(np.int64)
    )
    first, second = worded_row(PLAN, ruling, 0, ALLOW), worded_row(PLAN, ruling, 1, ALLOW, 4)
    assert list(lines(first)) == [
        "block by denied: The customer is on the deny list.",
        "  also held: large (would challenge): amount > 100",
    ]
    assert [(hit.name, hit.decided) for hit in first.hits] == [("denied", True), ("large", False)]
    assert (second.action, second.decided_by) == ("challenge", "fallback")
    assert second.reason == "declared fallback, because of scorers absent"


def test_a_rehearsal_says_what_would_have_changed_and_changes_nothing() -> None:
    without = replace(PLAN, rules=RULES[1:], breakers=())
    stricter = replace(PLAN, rules=(replace(RULES[1], action=BLOCK, until_ns=NEVER_NS), *RULES[2:]), breakers=())
    old, new = Guards(without, NAMES, LISTS), Guards(stricter, NAMES, LISTS)
    batches = [
        decided(old, [{"amount": 101, "time": 60}, {"amount": 101, "time": 400}, {"amount": 5}]) for _ in range(2)
    ]
    found = rehearse(without, new, batches, examples_max=1)
    assert (found.decisions, found.changed) == (6, 4)
    assert [(c.before, c.after, c.rule_before, c.rule_after, c.count) for c in found.changes] == [
        ("allow", "block", "", "large", 2),
        ("challenge", "block", "large", "large", 2),
    ]
    assert [len(change.examples) for change in found.changes] == [1, 1]
    assert (found.rules_before["large"].held, found.rules_after["large"].held) == (2, 4)
    assert found.actions_after == {"allow": 2, "challenge": 0, "block": 4}
    assert rehearse(without, old, batches).changed == 0


def decided(guards: Guards, rows: list[dict[str, float]]) -> DecisionBatch:
    """A batch as these guards ruled it."""
    b = batch_of(rows)
    ruling = guards.rule(b.events, b.features, b.scores, b.fused, b.proposal, b.fallback.astype(np.int64))
    return replace(b, ruling=ruling)


def test_before_is_what_was_decided_whoever_rules_now() -> None:
    batch = batch_of([{"amount": 5}])
    was = Ruling(np.array([BLOCK], np.int16), np.array([BY_BREAKER], np.int16), np.zeros(1, np.uint64))
    found = rehearse(PLAN, Guards(replace(PLAN, breakers=()), NAMES, LISTS), [replace(batch, ruling=was)])
    assert [(c.before, c.rule_before, c.after) for c in found.changes] == [("block", "breaker", "allow")]
    assert found.actions_before["block"] == 1


def test_rules_are_called_as_when_they_decided() -> None:
    batch = decided(Guards(PLAN, NAMES, LISTS), [{"amount": 101, "time": 60}])
    words = Vocabulary(actions=ACTIONS, rules=tuple((f"was_{rule.name}", None) for rule in PLAN.rules))
    found = rehearse(PLAN, Guards(replace(PLAN, rules=()), NAMES, LISTS), [replace(batch, words=words)])
    assert [change.rule_before for change in found.changes] == ["was_large"]
    assert found.rules_before["was_large"].held == 1


LABELS = st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=30, max_size=30)


@given(ROWS, LABELS, st.lists(st.floats(0, 100), min_size=90, max_size=90))
@settings(max_examples=40, deadline=None)
def test_a_rules_precision_cost_and_overlap_equal_those_counted_by_hand(
    rows: list[dict[str, float]], labels: list[float], costs: list[float]
) -> None:
    rows = rows[:30]
    if not rows:
        return
    label = np.array(labels[: len(rows)])
    cost = np.where(np.isnan(label)[:, None], np.nan, np.array(costs[: 3 * len(rows)]).reshape(-1, 3))
    guards = Guards(PLAN, NAMES, LISTS)
    batch = decided(guards.fresh(), rows)
    found = rehearse(PLAN, guards, [Tried(batch, label, cost)])
    known = [k for k in range(len(rows)) if label[k] == label[k]]
    assert found.changed == 0 and found.known == len(known) and found.rules_before == found.rules_after
    action, proposed = batch.ruling.action.tolist(), batch.proposal.action.tolist()
    assert found.cost_after == pytest.approx(sum(cost[k, action[k]] for k in known))
    hits = [[at for at in range(len(RULES)) if int(bits) >> at & 1] for bits in batch.ruling.hits]
    for at, rule in enumerate(PLAN.rules):
        figures = found.rules_after[rule.name]
        held = [k for k in range(len(rows)) if at in hits[k]]
        mine = [k for k in range(len(rows)) if batch.ruling.rule[k] == at]
        assert (figures.held, figures.decided) == (len(held), len(mine))
        assert figures.alone == sum(hits[k] == [at] for k in held)
        assert figures.known == sum(k in known for k in held)
        assert figures.positives == sum(label[k] == 1 for k in held)
        assert figures.precision == (figures.positives / figures.known if figures.known else None)
        assert figures.cost == pytest.approx(sum(cost[k, action[k]] for k in mine if k in known))
        assert figures.proposed_cost == pytest.approx(sum(cost[k, proposed[k]] for k in mine if k in known))
        for other, two in enumerate(PLAN.rules):
            both = sum(other in hits[k] for k in held) if other != at else 0
            assert figures.overlap.get(two.name, 0) == both


@given(ROWS)
@settings(max_examples=30, deadline=None)
def test_a_rehearsal_counts_the_rows_that_differ(rows: list[dict[str, float]]) -> None:
    other = replace(PLAN, rules=RULES[::-1], breakers=())
    before, after = rulings(Guards(PLAN, NAMES, LISTS), rows), rulings(Guards(other, NAMES, LISTS), rows)
    batches = [decided(Guards(PLAN, NAMES, LISTS), rows)] if rows else []
    found = rehearse(PLAN, Guards(other, NAMES, LISTS), batches)
    assert found.changed == sum(a[0] != b[0] for a, b in zip(before, after))


def test_a_breaker_covers_what_it_declares_after_an_event_that_was_ahead_of_the_clock():
    def ruled(rows: list[dict[str, float]], reach: list[int]) -> list[int]:
        b = batch_of(rows)
        events = replace(b.events, reach_ns=np.array(reach, np.int64))
        guards = Guards(PLAN, NAMES, LISTS)
        return guards.rule(
            events, b.features, b.scores, b.fused, b.proposal, b.fallback.astype(np.int64)
        ).action.tolist()

    calm = [{"time": 10 * k} for k in range(20)]
    fast = {"time": 80_000}
    storm = [{"time": 200 + k, "proposed": BLOCK} for k in range(12)]
    times = [int(row["time"]) for row in [*calm, *storm]]
    without = ruled([*calm, *storm], times)
    found = ruled([*calm, fast, *storm], [*times[:20], 190, *times[20:]])
    assert found[:20] == without[:20] and CHALLENGE in found[21:]
    later = [{"time": 2000 + k, "proposed": BLOCK} for k in range(3)]  # All before is forgotten, and these are too few.
    assert ruled([*calm, fast, *later], [*times[:20], 190, 2000, 2001, 2002])[-3:] == [BLOCK] * 3
