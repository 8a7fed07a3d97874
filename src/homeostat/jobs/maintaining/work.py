"""Remedies that are jobs: they are left in the store of jobs, once for each key, and a runner takes them from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from homeostat.config.instants import instant_ns
from homeostat.errors import Conflict
from homeostat.jobs.following import new_job
from homeostat.models.deployments import binds_fairness
from homeostat.ports import Clock
from homeostat.ports.jobs import Jobs, UnknownJob, change
from homeostat.ports.registry import Registry, Version
from homeostat.records.job import Job, JobState
from homeostat.records.library import Ended, KeptVersion

ACTOR = "homeostat"
VERSIONS_MAX = 20
"""So many of a registry's newest versions may be tried."""


@dataclass(frozen=True, slots=True)
class JobsWork:
    """See the module; a `maintain.act.executor.Work`.

    opened : opens the store
    words : the arguments of a job of this app: the app, and the place of its journal
    folder : where relative paths among them begin
    """

    opened: Callable[[], AbstractContextManager[Jobs]]
    words: Sequence[str]
    folder: str
    clock: Clock

    def begin(self, kind: str, request: Mapping[str, Any], key: str) -> str:
        """See `Work`: a training is a `homeostat retrain --only-train`, whose version joins the library."""
        if kind != "train":
            raise Conflict(f"no job of homeostat does {kind}")
        why = f"{str(request.get('why', ''))[:200]} ({key})"  # A job that is run again finds the version of its reason.
        words = [*self.words, "--only-train", f"--reason={why}"]
        made = new_job("retrain", words, actor=ACTOR, key=key, folder=self.folder, now_ns=self.clock.now_ns())
        with self.opened() as store:
            return str(store.submit(made).id)

    def ended(self, job: str, key: str) -> Ended | None:
        """See `Work`."""
        with self.opened() as store:
            try:
                found = store.get(_number(job))
            except UnknownJob:
                return Ended("", f"job {job} is not kept any more")
        if not _is_own(found, key):
            return Ended("", f"job {job} was not begun by step {key}")
        if not found.state.over:
            return None
        if found.state is not JobState.SUCCEEDED:
            return Ended("", f"job {job} is {found.state}: {found.error or 'without a reason'}"[:500])
        result = found.result if isinstance(found.result, Mapping) else {}
        version = str(result.get("version", ""))
        return Ended(version, str(result.get("why", "")) or f"job {job} names no version")

    def cancel(self, job: str, key: str) -> None:
        """See `Work`."""

        def asked(found: Job) -> Job:
            theirs = found.state.over or not _is_own(found, key)
            return found if theirs else found.asked_to_cancel(ACTOR, self.clock.now_ns())

        with self.opened() as store:
            try:
                change(store, _number(job), asked)
            except UnknownJob:
                return  # It was over long ago.


def _is_own(job: Job, key: str) -> bool:
    """Whether a step of this key began a job."""
    return (job.kind, job.actor, job.key) == ("retrain", ACTOR, key)


def _number(job: str) -> int:
    """The number of a job. Raises UnknownJob for none."""
    if not (job.isascii() and job.isdigit() and len(job) < 19):
        raise UnknownJob(f"there is no job {job[:40]!r}")
    return int(job)


def kept_versions(registry: Registry | None) -> list[KeptVersion]:
    """The newest versions of a registry, and the one that decides where none is deployed. Raises Unavailable.

    Versions whose bounds of fairness bind are left out: a person looks at those before they decide.
    """
    found = [] if registry is None else registry.versions(limit=VERSIONS_MAX)
    usable = [one for one in found if one.deleted_ns is None and not binds_fairness(one)]
    return [KeptVersion(""), *(KeptVersion(one.version, one.created_ns, _taught_ns(one)) for one in usable)]


def _taught_ns(one: Version) -> int:
    """Until when a version has learned; until it was made, where its lineage does not say."""
    try:
        return instant_ns(one.lineage.trained_until)
    except ValueError:
        return one.created_ns
