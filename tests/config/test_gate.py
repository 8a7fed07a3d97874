"""The `maintain.gate` section: mistaken ones are refused with their places, and the others become limits."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from tests.support.tuned import app_file

from homeostat.app import fingerprint
from homeostat.app.gating import gate_of, limits_of
from homeostat.config.faults import AppFileError
from homeostat.config.gate import GateSpec
from homeostat.config.load import load_app
from homeostat.maintain.gate.limits import Limits
from homeostat.records.autonomy import Level, Raised, Reach
from homeostat.records.plans import Remedy, Tier


def test_a_wrong_level_at_a_reach_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(AppFileError) as refused:
        load_app(app_file(tmp_path, more="maintain: {gate: {autonomy: {threshold: {app: ful, segment: full}}}}"))
    (fault,) = refused.value.faults
    assert fault.path == "maintain.gate.autonomy.threshold.app" and "Did you mean full?" in str(fault)


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("{levels: full}", "Did you mean level?"),
        ("{level: fully}", "Did you mean full?"),
        ("{autonomy: {quarantine_sources: full}}", "Did you mean quarantine_source?"),
        ("{autonomy: {monitor: full}}", "there is no kind of action 'monitor'"),
        ("{autonomy: {retrain: {apps: full}}}", "maintain.gate.autonomy.retrain"),
        ("{four_eyes: [retrian]}", "Did you mean retrain?"),
        ("{zone: Europe/Berlim}", "Did you mean Europe/Berlin?"),
        ("{zone: ../../etc/passwd}", "there is no time zone"),
        ("{blackouts: [{name: a, zone: Mars}]}", "maintain.gate.blackouts[0].zone"),
        ("{blackouts: [{name: a, days: [monday]}]}", "Did you mean mon?"),
        ("{blackouts: [{name: a, hours: 9-17}]}", "is no span of the day"),
        ("{blackouts: [{name: a, hours: '09:00-09:00'}]}", "is no time at all"),
        ("{blackouts: [{name: a, dates: ['2026-02-30']}]}", "is no date"),
        ("{blackouts: [{name: a, dates: ['2026-02-20..2026-02-10']}]}", "the earlier one"),
        ("{rules: [{name: a, when: cots > 3}]}", "did you mean cost"),
        ("{rules: [{name: a, when: cost + 3}]}", "should be boolean"),
        ("{rules: [{name: a, when: cost > 3, then: execute}]}", "maintain.gate.rules[0].then"),
        ("{rules: [{name: a, when: cost > 3}, {name: a, when: n > 3}]}", "there are two rules 'a'"),
        ("{rate: often}", "is not a budget"),
        ("{confidence: 80}", "should be a share from 0 to 1, not 80. Did you mean 0.8?"),
        ("{confidence: 100}", "Did you mean 1?"),
        ("{blast: {decisions: 12.5}}", "Did you mean 0.125?"),
        ("{confidence: .nan}", "maintain.gate.confidence"),
        ("{cost_per_day: .inf}", "maintain.gate.cost_per_day"),
        ("{cost_per_day: -1}", "maintain.gate.cost_per_day"),
        ("{actions_per_day: -1}", "maintain.gate.actions_per_day"),
        ("{plan_age: 0s}", "should be longer than nothing"),
        ("{blast: {decisions: 2}}", "maintain.gate.blast.decisions"),
    ],
)
def test_a_section_that_means_nothing_is_refused_with_its_fault(tmp_path: Path, gate: str, said: str) -> None:
    with pytest.raises(AppFileError) as refused:
        load_app(app_file(tmp_path, more=f"maintain: {{gate: {gate}}}"))
    assert said.lower() in str(refused.value).lower() and "maintain.gate" in str(refused.value)


def test_an_app_without_the_section_has_the_limits_that_allow_nothing(tmp_path: Path) -> None:
    app = load_app(app_file(tmp_path))
    limits = limits_of(app.maintain.gate)
    assert limits == Limits(blackouts=[], business=limits.business)
    assert all(limits.declared(remedy, reach) == Level.ASSISTED for remedy in Remedy for reach in Reach)


def test_a_section_becomes_limits_and_is_no_part_of_what_the_app_is(tmp_path: Path) -> None:
    gate = (
        "{stop: true, level: supervised, autonomy: {retrain: assisted, threshold: {segment: full}}, confidence: 0.9, "
        "cost_per_day: 5, rate: 2 per 1d, four_eyes: [retrain], blast: {money_per_hour: 7}, blackouts: "
        "[{name: a, days: [sat], hours: '22:00-06:00', zone: Europe/Berlin, dates: [2026-12-24, "
        "2026-12-30..2027-01-01]}], "
        "rules: [{name: night, when: hour < 6, then: watch, reason: nobody is there}]}"
    )
    app = load_app(app_file(tmp_path, more=f"maintain: {{gate: {gate}}}"))
    assert fingerprint(app) == fingerprint(load_app(app_file(tmp_path)))
    limits = gate_of(app.maintain.gate).limits
    assert limits.stop and limits.confidence == 0.9 and limits.cost_per_day == 5.0 and limits.money == 7.0
    assert limits.declared(Remedy.RETRAIN, Reach.SEGMENT) == Level.ASSISTED
    assert limits.declared(Remedy.THRESHOLD, Reach.APP) == Level.ASSISTED
    assert limits.declared(Remedy.THRESHOLD, Reach.SEGMENT) == Level.FULL
    assert limits.declared(Remedy.CONVERT, Reach.APP) == Level.SUPERVISED
    assert limits.rate == (2.0, 86_400 * 10**9) and limits.four_eyes == {Remedy.RETRAIN}
    (freeze,) = limits.blackouts
    assert (freeze.days, freeze.first, freeze.end, str(freeze.zone)) == ({5}, 1320, 360, "Europe/Berlin")
    assert list(freeze.dates)[1] == (date(2026, 12, 30), date(2027, 1, 1))
    (rule,) = limits.business.rules
    assert (rule.name, rule.then, rule.reason) == ("night", Tier.WATCH, "nobody is there")


def test_the_last_word_of_an_owner_counts() -> None:
    words = [Raised(Remedy.CONVERT, Reach.APP, at, "ann", "mended") for at in (7, 9, 5)]
    assert limits_of(GateSpec(), words).raised_ns == {(Remedy.CONVERT, Reach.APP): 9}
