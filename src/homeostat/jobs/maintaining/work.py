"""Remedies that are jobs: they are left in the store of jobs, once for each key, and a runner takes them from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from homeostat.errors import Conflict
from homeostat.jobs.following import new_job
from homeostat.ports import Clock
from homeostat.ports.jobs import Jobs, UnknownJob, change
from homeostat.records.job import Job

ACTOR = "homeostat"


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
        """See `Work`: training is a round of `homeostat retrain`, whose challenger has to win before it decides."""
        if kind != "train":
            raise Conflict(f"no job of homeostat does {kind}")
        why = str(request.get("why", ""))[:200]
        words = [*self.words, "--now", f"--reason={why}"]
        made = new_job("retrain", words, actor=ACTOR, key=key, folder=self.folder, now_ns=self.clock.now_ns())
        with self.opened() as store:
            return str(store.submit(made).id)

    def cancel(self, job: str) -> None:
        """See `Work`."""

        def asked(found: Job) -> Job:
            return found if found.state.over else found.asked_to_cancel(ACTOR, self.clock.now_ns())

        with self.opened() as store:
            try:
                change(store, int(job), asked)
            except UnknownJob:
                return  # It was over long ago.
