"""The ramp of a canary: what its guardrails say at every look, and the move that follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from homeostat.models import ramp
from homeostat.models.judgement import Judgement
from homeostat.models.ramp import Action, Plan, Rail, RailLog, Standing, judged, next_move
from homeostat.records.verdicts import Verdict

BLOCKS = Rail("action block", "share of blocks", 0.02)
PLAN = Plan((0.01, 0.05, 0.25, 1.0), 100, 60, True, 10_000, 0.05, (BLOCKS,))
AT = Standing(0.01, 500, 0, 0, 100)


def found(verdict):
    return Judgement(verdict, f"because of {verdict.value}", ())


def filled(rail, control, treatment, n=4000, seed=0, alpha=0.01, looks=1):
    """A log of values of two arms, with these rates."""
    rng = np.random.default_rng(seed)
    log = RailLog(rail, alpha)
    for _ in range(looks):
        treated = rng.random(n // looks) < 0.3
        log.add(treated, (rng.random(n // looks) < np.where(treated, treatment, control)).astype(float))
        log.evidence()
    return log


@pytest.mark.parametrize(
    ("change", "verdict", "action", "share"),
    [
        ({}, Verdict.PASS, Action.RAISE, 0.05),
        ({"share": 0.05}, Verdict.PASS, Action.RAISE, 0.25),
        ({"share": 0.1}, Verdict.PASS, Action.RAISE, 0.25),
        ({"share": 0.25}, Verdict.PASS, Action.PROMOTE, None),
        ({}, Verdict.INCONCLUSIVE, Action.STAY, None),
        ({"events": 99}, Verdict.PASS, Action.STAY, None),
        ({"now_ns": 59}, Verdict.PASS, Action.STAY, None),
        ({"step_ns": 90}, Verdict.PASS, Action.STAY, None),
        ({}, Verdict.FAIL, Action.END, None),
        ({"events": 0, "now_ns": 1}, Verdict.FAIL, Action.END, None),
        ({"now_ns": 10_001}, Verdict.PASS, Action.END, None),
    ],
)
def test_a_step_is_earned_and_a_broken_guardrail_ends_it_at_once(change, verdict, action, share):
    move = next_move(PLAN, replace(AT, **change), found(verdict))
    assert (move.action, move.share) == (action, share) and move.why


def test_without_a_verdict_it_pauses_unless_the_app_says_to_go_on():
    assert "waits for a verdict" in next_move(PLAN, AT, found(Verdict.INCONCLUSIVE)).why
    assert next_move(replace(PLAN, pauses=False), AT, found(Verdict.INCONCLUSIVE)).share == 0.05


def test_a_ramp_without_a_last_step_stays_and_says_so():
    move = next_move(replace(PLAN, steps=(0.01, 0.05)), replace(AT, share=0.05), found(Verdict.PASS))
    assert move.action is Action.STAY and "last step" in move.why


def test_a_figure_within_its_margin_passes_and_one_beyond_it_fails():
    assert filled(BLOCKS, 0.1, 0.1, 20_000).evidence().verdict is Verdict.PASS
    broken = filled(BLOCKS, 0.1, 0.3).evidence()
    assert broken.verdict is Verdict.FAIL and broken.source == "action block" and broken.n["treatment"] > 900
    assert broken.low > 0.02 and "treatment" in broken.n and broken.why


def test_silence_is_no_verdict():
    log = RailLog(BLOCKS, 0.01)
    assert judged([log]).verdict is Verdict.INCONCLUSIVE
    log.add(np.ones(500, bool), np.zeros(500))  # One arm alone says nothing of the other.
    assert judged([log]).verdict is Verdict.INCONCLUSIVE


def test_the_first_broken_guardrail_is_named():
    logs = [filled(replace(BLOCKS, name="failed"), 0.1, 0.1, 20_000), filled(replace(BLOCKS, name="late"), 0.0, 0.2)]
    assert (judged(logs).verdict, judged(logs).why.split(":")[0]) == (Verdict.FAIL, "late")


def test_a_verdict_of_an_earlier_window_stands(monkeypatch):
    monkeypatch.setattr(ramp, "WINDOW_ROWS", 2000)
    log = filled(BLOCKS, 0.05, 0.4, 2000)
    assert log.evidence().verdict is Verdict.FAIL
    more = np.arange(1000) % 2 == 0
    log.add(more, np.zeros(1000))
    assert log.evidence().verdict is Verdict.FAIL
    assert len(log._treated) == 1000


def test_a_later_window_finds_what_begins_late(monkeypatch):
    monkeypatch.setattr(ramp, "WINDOW_ROWS", 2000)
    log = filled(BLOCKS, 0.1, 0.1, 6000)
    assert log.evidence().verdict is not Verdict.FAIL
    rng = np.random.default_rng(1)
    treated = rng.random(1500) < 0.5
    log.add(treated, (rng.random(1500) < np.where(treated, 0.6, 0.1)).astype(float))
    assert log.evidence().verdict is Verdict.FAIL


def test_what_may_be_either_is_no_verdict_and_a_verdict_holds_for_both():
    rail = Rail("cost", "cost of an event", 0.5, "mean")
    rng = np.random.default_rng(0)
    treated = rng.random(4000) < 0.5
    cost = rng.normal(1.0, 0.2, 4000)
    unknown, worse, alike = RailLog(rail, 0.05), RailLog(rail, 0.05), RailLog(rail, 0.05)
    unknown.add(treated, cost, cost + 5 * treated)
    worse.add(treated, cost + 2 * treated, cost + 4 * treated)
    alike.add(treated, cost, cost + 0.1 * treated)
    verdicts = [log.evidence().verdict for log in (unknown, worse, alike)]
    assert verdicts == [Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.PASS]
    assert "hold-out" in unknown.evidence().why


@pytest.mark.long
def test_a_canary_like_its_champion_is_ended_in_no_more_than_its_share_of_runs():
    """Looked at 20 times each, with a margin of nothing: the bounds hold at all looks together."""
    failed = sum(
        filled(replace(BLOCKS, margin=0.0), 0.2, 0.2, 2000, seed, 0.05, looks=20).evidence().verdict is Verdict.FAIL
        for seed in range(100)
    )
    assert failed <= 5
