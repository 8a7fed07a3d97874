"""A drill's rehearsal: the same span again, bit for bit, and otherwise under other settings."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.app.investigating import investigator_of
from homeostat.jobs.drill.deciding import Deciding, DrillApp, frame_of, quiet_traffic
from homeostat.jobs.drill.investigating import DrillCases
from homeostat.ports.rehearsal import CanNotRehearse
from homeostat.records.changes import ChangeKind
from homeostat.records.incidents import Incident, Severity
from homeostat.records.plans import Alteration
from homeostat.sim.faults.runs import lay_out, run_of
from homeostat.sim.faults.traffic import HOUR_NS


def _run(scenario: str, hours: int) -> DrillCases:
    drill, frame = DrillApp("access"), frame_of(4, 1, 1)
    laid = lay_out(run_of(scenario, 3, frame), quiet_traffic(drill, frame, 3), drill.form)
    deciding = Deciding(drill, laid.traffic, frame, 3, laid)
    deciding.warm()
    cases = DrillCases.of(deciding)
    for _ in range(hours):
        cases.decided(deciding.hour())
    return cases


@pytest.mark.long
def test_a_span_again_is_the_same_and_other_settings_hold_from_their_moment_on() -> None:
    cases = _run("S20", 70)
    live, rehearsal = cases.deciding, cases.rehearsal
    now, state = live.now_ns, live.loop.state()
    again = rehearsal.again(now - 20 * HOUR_NS, now, [])
    assert len(again) > 100 and again.kept.all()
    assert np.array_equal(again.risk, again.served_risk) and np.array_equal(again.action, again.served_action)
    assert np.allclose(again.features, again.served, rtol=1e-6, equal_nan=True)
    action = live.drill.prepared.app.actions[-1]
    always = Alteration(ChangeKind.FALLBACK, "app", {"action": action})
    other = rehearsal.again(now - 20 * HOUR_NS, now, [always], since_ns=now - 5 * HOUR_NS)
    late = np.flatnonzero(np.isin(other.id_code, rehearsal.again(now - 5 * HOUR_NS, now, []).id_code))
    early = np.setdiff1d(np.arange(len(other)), late)
    assert np.array_equal(other.action[early], again.action[early])
    assert (other.action[late] == len(live.drill.prepared.app.actions) - 1).mean() > 0.9
    assert all(
        np.array_equal(state[name], value, equal_nan=value.dtype.kind == "f")
        for name, value in live.loop.state().items()
    )
    assert live.now_ns == now


@pytest.mark.long
def test_the_version_before_and_a_changed_environment_show_in_a_rehearsal() -> None:
    cases = _run("S20", 70)
    now, change = cases.deciding.now_ns, cases.deciding.acting.settings.since(0)[-1]
    assert change.kind == ChangeKind.DEPLOY
    before = Alteration(change.kind, change.scope, change.before)
    again = cases.rehearsal.again(max(change.at_ns, now - 10 * HOUR_NS), now, [before])
    assert not np.array_equal(again.risk, again.served_risk)
    cases = _run("S22", 70)
    onset = run_of("S22", 3, cases.deciding.frame).onset_ns
    again = cases.rehearsal.again(onset - 10 * HOUR_NS, onset - HOUR_NS, [])
    assert (np.abs(again.risk - again.served_risk) > 1e-9).mean() > 0.05


@pytest.mark.long
def test_a_span_without_a_kept_state_says_so_and_an_incident_is_investigated() -> None:
    cases = _run("S00", 30)
    deciding = cases.deciding
    with pytest.raises(CanNotRehearse, match="no state is kept"):
        cases.rehearsal.again(deciding.frame.begin_ns, deciding.frame.begin_ns + HOUR_NS, [])
    prepared = deciding.drill.prepared
    now = deciding.now_ns
    incident = Incident("i1", "access", 1, now, now, now - HOUR_NS, Severity.LOW, ())
    case = cases.case(incident, now)
    found = investigator_of(prepared.app, prepared.features, cases.rehearsal, cases.recent).investigate(case)
    assert found.incident == "i1" and not found.findings
