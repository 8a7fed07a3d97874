"""Remedies that are jobs are left for a runner, once for each key, and are cancelled with the step."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.adapters.process.clock import SystemClock
from homeostat.errors import Conflict
from homeostat.jobs.maintaining.work import JobsWork
from homeostat.records.job import Job, JobState

REQUEST = {"why": "concept at outcome", "since_ns": 5}


def work_in(data: Path) -> JobsWork:
    """The jobs of a folder."""
    return JobsWork(lambda: closing(SqliteJobs(data)), ["access", f"--data={data}"], str(data), SystemClock())


def test_a_training_is_a_job_that_only_trains_once_for_each_key(tmp_path: Path) -> None:
    work = work_in(tmp_path)
    first, again, other = (work.begin("train", REQUEST, key) for key in ("plan-0", "plan-0", "plan-1"))
    assert first == again != other
    with closing(SqliteJobs(tmp_path)) as store:
        job = store.get(int(first))
        assert (job.kind, job.actor, job.key, job.folder) == ("retrain", "homeostat", "plan-0", str(tmp_path))
        assert job.arguments == ("access", f"--data={tmp_path}", "--only-train", "--reason=concept at outcome (plan-0)")
        assert len(store.list()) == 2


def test_a_job_is_cancelled_with_its_step_wherever_it_is(tmp_path: Path) -> None:
    work = work_in(tmp_path)
    id = work.begin("train", REQUEST, "plan-0")
    for _ in range(2):
        work.cancel(id, "plan-0")
        with closing(SqliteJobs(tmp_path)) as store:
            assert store.get(int(id)).state is JobState.CANCELLED
    work.cancel("999", "plan-0")  # It is not kept any more.


@pytest.mark.parametrize("forged", ["1", "2", "3", "-1", "x", "²", "9" * 40])
def test_no_job_is_cancelled_but_the_one_that_this_very_step_began(tmp_path: Path, forged: str) -> None:
    work = work_in(tmp_path)
    with closing(SqliteJobs(tmp_path)) as store:
        store.submit(Job("retrain", ("access",), actor="ann", key="plan-0-by-hand"))
        store.submit(Job("train", ("access",), actor="homeostat", key="plan-9"))
    assert work.begin("train", REQUEST, "plan-0") == "3"
    work.cancel(forged, "plan-9")
    with closing(SqliteJobs(tmp_path)) as store:
        assert [one.state for one in store.list()] == [JobState.QUEUED] * 3


def test_a_kind_of_work_that_nobody_does_is_a_conflict_and_no_job(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="no job of homeostat does dig"):
        work_in(tmp_path).begin("dig", {}, "plan-0")
    with closing(SqliteJobs(tmp_path)) as store:
        assert not store.list()
