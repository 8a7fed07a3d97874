"""Which jobs of other runners show no sign of life any more, by one's own clock alone.

A runner changes its jobs' revisions again and again. One that stood still for longer than a lease, as seen here, has
lapsed: its process has ended by then, since it outlives the last change by less than a lease. No clock is compared with
another one, so one that jumps, or a machine that slept, makes nothing lapse.
"""

from __future__ import annotations

from collections.abc import Iterable

from homeostat.records.job import Job


class Lapses:
    """Watches jobs that run elsewhere.

    lease_ns : how long a revision may stand still
    """

    def __init__(self, lease_ns: int) -> None:
        self._lease_ns = lease_ns
        self._seen: dict[int, tuple[int, int]] = {}  # By id: the revision, and since when it has stood still.
        self._moved: set[int] = set()

    def look(self, running: Iterable[Job], now_ns: int) -> dict[int, int]:
        """The jobs that have lapsed, each with its revision.

        running : all that run elsewhere now
        now_ns : of a clock that never goes back

        >>> lapses, job = Lapses(10), Job("train", (), id=3, revision=7)
        >>> lapses.look([job], 100), lapses.look([job], 110), lapses.look([job], 111)
        ({}, {}, {3: 7})
        """
        seen = {}
        for job in running:
            before = self._seen.get(job.id)
            if before is not None and before[0] != job.revision:
                self._moved.add(job.id)
                before = None
            seen[job.id] = before or (job.revision, now_ns)
        self._seen = seen
        self._moved &= set(seen)
        return {id: revision for id, (revision, since) in seen.items() if now_ns - since > self._lease_ns}

    @property
    def undecided(self) -> bool:
        """Whether a job runs elsewhere of which it is not known yet whether it lives."""
        return bool(set(self._seen) - self._moved)
