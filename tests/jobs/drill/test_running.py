"""Runs of a drill: decided through intake and stages, forked, watched, recorded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from homeostat.jobs.drill.acting import Acting
from homeostat.jobs.drill.deciding import Deciding, DrillApp, frame_of, quiet_traffic
from homeostat.jobs.drill.drilling import FILES, DrillRequest, drill_runs
from homeostat.jobs.drill.records import Watch, line_of, named, ranking
from homeostat.jobs.drill.running import SeedTask
from homeostat.records.causes import Cause
from homeostat.records.incidents import Incident, Severity, Suspect
from homeostat.sim.faults.fault import Act, Effect, Truth
from homeostat.sim.faults.runs import lay_out, run_of
from homeostat.sim.faults.traffic import HOUR_NS

LIKE = SeedTask("access", 0, (), days=4, past_days=1, warm_days=1, baselines=True)
FIELDS = [
    "scenario", "seed", "severity", "decoy", "noise", "truth", "onset", "detected", "delay_minutes", "delay_events",
    "alarms_before_onset", "false_alarms", "incidents", "ranked",
]  # fmt: skip


@pytest.mark.long
def test_two_drills_write_the_same_bytes_and_the_lines_have_the_contract_s_fields(tmp_path: Path) -> None:
    for name in ("a", "b"):
        request = DrillRequest(LIKE, ("S00", "S12", "S27"), (3,), 1, tmp_path / name)
        found = drill_runs(request, lambda what, share: None)
    for name in FILES:
        if name != "timings.jsonl":
            assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    lines = [json.loads(line) for line in (tmp_path / "a" / "runs.jsonl").read_text().splitlines()]
    assert [line["scenario"] for line in lines] == ["S00", "S12", "S27"]
    assert all(list(line) == FIELDS for line in lines)
    assert lines[0]["truth"] is None and isinstance(lines[2]["truth"], list)
    assert found["scenarios"]["S12"]["runs"] == 1 and set(found["baselines"]) == {"ddm", "ks"}
    assert "http" not in (tmp_path / "a" / "report.html").read_text().replace("http://www.w3.org/2000/svg", "")


@pytest.mark.long
def test_a_run_that_goes_on_from_a_fork_is_the_run_from_the_start() -> None:
    drill, frame = DrillApp("access"), frame_of(4, 1, 1)
    quiet = quiet_traffic(drill, frame, 3)
    run = run_of("S20", 3, frame)
    laid = lay_out(run, quiet, drill.form)
    whole = Deciding(drill, laid.traffic, frame, 3, laid)
    whole.warm()
    first = Deciding(drill, quiet, frame, 3)
    first.warm()
    while first.now_ns < run.fork_ns:
        first.hour()
        whole.hour()
    forked = Deciding(drill, laid.traffic, frame, 3, laid)
    forked.resume(first.kept())
    while whole.now_ns < frame.end_ns:
        one, two = whole.hour(), forked.hour()
        assert len(one.decisions) == len(two.decisions) and one.changes == two.changes
        for a, b in zip(one.decisions, two.decisions):
            assert np.array_equal(a.fused.risk, b.fused.risk) and np.array_equal(a.ruling.action, b.ruling.action)
            assert np.array_equal(a.features.values, b.features.values, equal_nan=True) and a.took_us == b.took_us
        assert (one.outcomes is None) == (two.outcomes is None)
        if one.outcomes is not None and two.outcomes is not None:
            assert np.array_equal(one.outcomes.id_code, two.outcomes.id_code)


def incident(number: int, node: str, probability: float, closed_ns: int = 0) -> Incident:
    suspects = (Suspect(node, "unit", probability),)
    return Incident(
        str(number), "app", 1, 0, 0, 0, Severity.LOW, (f"s{number}",), suspects=suspects, closed_ns=closed_ns
    )


def test_the_ranking_is_that_of_all_incidents_that_are_alive() -> None:
    ranked = ranking([incident(1, "a", 0.2), incident(2, "b", 0.7), incident(3, "c", 0.9, closed_ns=5)], 10)
    assert [one.node for one in ranked] == ["b", "a"]
    assert named(ranked, [Truth("a", Cause.UNIT)], 5) and not named(ranked, [Truth("c", Cause.UNIT)], 5)
    assert not named(ranked, [Truth("a", Cause.UNIT), Truth("c", Cause.UNIT)], 5)
    assert not named(ranked, [], 5)


def test_a_place_that_a_cause_takes_up_later_counts_from_then_on() -> None:
    truth = Truth("x", Cause.ADVERSARY, (("y", 7),))
    assert truth.at("x", 1) and truth.at("y", 7) and not truth.at("y", 6) and not truth.at("z", 9)


def test_a_segment_counts_where_it_is_on_the_true_field() -> None:
    truth = Truth("segment:amount", Cause.SEGMENT)
    assert truth.at("segment:amount in quarter 3", 1)
    assert not truth.at("segment:hour in [0, 6)", 1) and not truth.at("field:amount", 1)


def test_a_run_in_which_nothing_is_noticed_counts_with_its_horizon() -> None:
    frame = frame_of(30)
    run = run_of("S12", 3, frame)
    laid = lay_out(run, quiet_traffic(DrillApp("access"), frame_of(4, 2, 1), 3), DrillApp("access").form)
    line = line_of(Watch(run), laid)
    assert line["detected"] is None and line["delay_minutes"] == (frame.end_ns - run.onset_ns) // 60_000_000_000
    assert line["false_alarms"] == 0 and line["ranked"] == []


def test_an_outage_begins_at_its_onset_whatever_share_of_the_hours_it_takes() -> None:
    act = Act(HOUR_NS, Effect.OUTAGE, {"share": 0.0}, 4 * HOUR_NS)
    acting = Acting(None, None, None, None, [act])  # type: ignore[arg-type]
    acting.until(HOUR_NS, None, None, None)  # type: ignore[arg-type]
    assert [acting.away(hour * HOUR_NS, 3) for hour in range(5)] == [False, True, False, False, False]
