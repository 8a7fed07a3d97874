"""A version that a run trains decides once it is deployed, and no longer once that is undone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from homeostat.app import censoring_of
from homeostat.errors import Conflict
from homeostat.jobs.drill.deciding import Deciding, DrillApp, frame_of, quiet_traffic
from homeostat.jobs.drill.investigating import DrillCases
from homeostat.jobs.drill.training import HELD_OUT, TAKES_NS, DrillWork, taught
from homeostat.models.training_set import NothingToLearn
from homeostat.records.changes import Change, ChangeKind
from homeostat.records.library import KeptVersion
from homeostat.records.plans import Alteration
from homeostat.sim.faults.runs import lay_out, run_of
from homeostat.sim.faults.traffic import HOUR_NS
from homeostat.stats.held_out import held_out

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cases() -> DrillCases:
    """A run of payments in which outcomes of a few days are known."""
    drill, frame = DrillApp("payments"), frame_of(13, 1, 10)
    laid = lay_out(run_of("S00", 3, frame), quiet_traffic(drill, frame, 3), drill.form)
    deciding = Deciding(drill, laid.traffic, frame, 3, laid)
    deciding.warm()
    found = DrillCases.of(deciding)
    while deciding.now_ns < frame.end_ns - 6 * HOUR_NS:
        found.decided(deciding.hour())
    return found


def risks(deciding: Deciding, hours: int = 2) -> np.ndarray:
    first = deciding.row
    for _ in range(hours):
        deciding.hour()
    return deciding.risk[first : deciding.row].copy()


def test_a_trained_version_decides_where_it_is_deployed_and_an_undo_is_exact(cases: DrillCases) -> None:
    deciding, settings = cases.deciding, cases.deciding.acting.settings
    work, kept = DrillWork(deciding, cases.recent), deciding.kept()
    job = work.begin("train", {"why": "concept at outcome"}, "plan-0")
    assert work.begin("train", {}, "plan-0") == job and len(deciding.acting.trained) == 1  # A call again, once.
    assert work.ended(job, "plan-0") is None and work.versions() == [KeptVersion("")]
    without = risks(deciding)
    deciding.now_ns += TAKES_NS
    ended, (first, made) = work.ended(job, "plan-0"), work.versions()
    deciding.now_ns -= TAKES_NS
    assert ended is not None and ended.version == made.version and "rows" in ended.why
    assert first == KeptVersion("") and made.held_out == HELD_OUT and made.taught_ns < made.made_ns < deciding.now_ns

    deciding.resume(kept)
    deploy = Alteration(ChangeKind.DEPLOY, "champion", {"version": made.version})
    rehearsed = cases.rehearsal.again(kept.now_ns - 20 * HOUR_NS, kept.now_ns, [deploy])
    assert not np.array_equal(rehearsed.risk, rehearsed.served_risk) and np.isfinite(rehearsed.risk).all()
    deciding.acting.stand_at(kept.now_ns)
    change = settings.append(Change(deploy.kind, deploy.scope, deploy.body, "homeostat", "it does better", "k-0"), 0)
    under = risks(deciding)
    assert len(under) == len(without) and not np.array_equal(under, without)
    assert deciding.loop.stages.version.endswith(f"+{made.version}")

    settings.append(change.undo("homeostat", "it does not", "k-undo"), change.number)
    deciding._act(deciding.now_ns)
    deciding.resume(kept)
    assert np.array_equal(risks(deciding), without)
    with pytest.raises(Conflict, match="no job of a drill does dig"):
        work.begin("dig", {}, "plan-1")


def test_what_is_withheld_blocked_or_held_out_does_not_teach_and_young_events_keep_their_share(
    cases: DrillCases,
) -> None:
    now_ns = cases.deciding.now_ns
    recent, app = cases.recent.until(now_ns), cases.deciding.drill.prepared.app
    nobody = np.zeros(len(recent), np.bool_)
    rows = taught(recent, nobody, app.outcomes.censoring, 3)
    assert not held_out(rows.groups[:, None], HELD_OUT).any()
    blocked = recent.id_code[np.array(censoring_of(app))[recent.action]]
    assert not np.isin(rows.id_code, blocked).any()
    first = recent.time_ns < now_ns - recent.matures_ns
    less = taught(recent, first, app.outcomes.censoring, 3)
    assert len(less) < len(rows) and (less.time_ns >= now_ns - recent.matures_ns).all()
    assert 0.5 < less.y.mean() / rows.y[rows.time_ns < now_ns - recent.matures_ns].mean() < 2
    with pytest.raises(NothingToLearn):
        taught(replace(recent, label=np.full(len(recent), np.nan)), nobody, app.outcomes.censoring, 3)


def test_a_training_that_has_nothing_to_learn_from_fails_with_its_reason() -> None:
    drill, frame = DrillApp("payments"), frame_of(4, 1, 1)
    deciding = Deciding(drill, quiet_traffic(drill, frame, 3), frame, 3)
    deciding.warm()
    early = DrillCases.of(deciding)
    early.decided(deciding.hour())
    work = DrillWork(deciding, early.recent)
    work.begin("train", {}, "plan-0")
    deciding.now_ns += TAKES_NS
    ended = work.ended("plan-0", "plan-0")
    assert ended is not None and not ended.version and "too few outcomes" in ended.why
    assert work.versions() == [KeptVersion("")]
