"""Those who wait for a job: they hear its log once, and work that failed is begun again by the same key."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from homeostat.adapters.disk.sqlite.jobs import SqliteJobs
from homeostat.jobs.following import JobFailed, new_job, result_of, submitted_again, to_its_end
from homeostat.ports.jobs import Jobs
from homeostat.records.job import Job, JobState


def exporting(key: str = "") -> Job:
    return new_job("export", ["--out", "x"], actor="a flow", key=key, now_ns=1)


def test_a_job_is_followed_to_its_end_and_its_log_is_heard_once(tmp_path: Path) -> None:
    with closing(SqliteJobs(tmp_path)) as jobs:
        job = jobs.submit(exporting())
        heard: list[str] = []
        steps = iter([
            lambda: jobs.claim("me", 1, {}, 1),
            lambda: jobs.write(jobs.get(job.id), b"one\ntw"),
            lambda: jobs.move(jobs.get(job.id).beaten(2, 0.5, "half")),
            lambda: jobs.write(jobs.get(job.id), b"o\nend"),
            lambda: jobs.move(jobs.get(job.id).ended(JobState.SUCCEEDED, 3, {"rows": 2})),
        ])  # fmt: skip
        ended = to_its_end(jobs, job, lambda: next(steps)(), heard.append)
        assert heard == ["one", "half (50%)", "two", "end"]
        assert result_of(ended) == {"rows": 2}


def test_a_repeated_key_waits_takes_the_result_or_begins_again(tmp_path: Path) -> None:
    with closing(SqliteJobs(tmp_path)) as jobs:
        first = submitted_again(jobs, exporting("night"))
        assert submitted_again(jobs, exporting("night")) == first
        ended = end(jobs, JobState.FAILED)
        with pytest.raises(JobFailed, match="is failed: no room"):
            result_of(ended)
        again = submitted_again(jobs, exporting("night"))
        assert again.id == first.id and again.state is JobState.QUEUED
        done = end(jobs, JobState.SUCCEEDED)
        assert submitted_again(jobs, exporting("night")) == done and len(jobs.list()) == 1


def end(jobs: Jobs, state: JobState) -> Job:
    run = jobs.claim("me", 1, {}, 1)
    assert run is not None
    return jobs.move(run.ended(state, 2, error="" if state is JobState.SUCCEEDED else "no room"))
