"""The learner's store in memory: the twin of the one in PostgreSQL, for tests and simulations."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from homeostat.adapters.memory.settings import MemorySettings
from homeostat.adapters.process.clock import SystemClock
from homeostat.ports import Clock
from homeostat.ports.learning import LEASE_S, Asked, Deposed, Lead, LearnerStanding, Learnt, Publication, UnknownState
from homeostat.ports.settings import unchanged
from homeostat.records.changes import Change, ChangeKind


@dataclass(frozen=True, slots=True)
class _Noted:
    learnt: Learnt
    at_ns: int
    seen_ns: int | None


class MemoryLearning:
    """See `LearnedStates`."""

    def __init__(self, settings: MemorySettings, clock: Clock | None = None) -> None:
        self._settings, self._clock = settings, clock or SystemClock()
        self._lead, self._until_ns = Lead("", 0), 0
        self._noted: _Noted | None = None
        self._asked = Asked()
        self._states: dict[str, tuple[int, bytes]] = {}
        self._saved: bytes | None = None
        self._granted: dict[int, float] = {}
        self._lock = threading.RLock()

    def lead(self, owner: str, lease_s: float = LEASE_S) -> Lead | None:
        """See `LearnedStates`."""
        with self._lock:
            now_ns = self._clock.now_ns()
            if now_ns < self._until_ns:
                return None
            self._lead, self._until_ns = Lead(owner, self._lead.epoch + 1), now_ns + int(lease_s * 1e9)
            return self._lead

    def note(self, lead: Lead, learnt: Learnt, lease_s: float = LEASE_S) -> None:
        """See `LearnedStates`."""
        with self._lock:
            self._fence(lead)
            now_ns, seen_ns = self._clock.now_ns(), None if self._noted is None else self._noted.seen_ns
            if learnt.seen_s is not None:
                seen_ns = now_ns - int(learnt.seen_s * 1e9)
            self._noted = _Noted(learnt, now_ns, seen_ns)
            self._until_ns = now_ns + int(lease_s * 1e9)

    def resign(self, lead: Lead) -> None:
        """See `LearnedStates`."""
        with self._lock:
            if lead.epoch == self._lead.epoch:
                self._until_ns = 0

    def publish(self, lead: Lead, states: Sequence[Publication]) -> list[Change]:
        """See `LearnedStates`."""
        with self._lock:
            self._fence(lead)
            for one in states:
                last = self._settings.last_of(one.change.where)
                if last is None or last.key != one.change.key:
                    unchanged(last, one.expected)
            stored = [self._settings.append(one.change, one.expected) for one in states]
            for one in states:
                assert one.change.body is not None
                self._states[one.change.body["sha256"]] = self._clock.now_ns(), one.content
            return stored

    def save(self, lead: Lead, content: bytes) -> None:
        """See `LearnedStates`."""
        with self._lock:
            self._fence(lead)
            self._saved = content

    def saved(self) -> bytes | None:
        """See `LearnedStates`."""
        return self._saved

    def state(self, digest: str) -> bytes:
        """See `LearnedStates`."""
        with self._lock:
            if digest not in self._states:
                raise UnknownState(f"there is no learned state {digest[:12]}")
            return self._states[digest][1]

    def drop(self, before_ns: int) -> int:
        """See `LearnedStates`."""
        with self._lock:
            changes = [one for one in self._settings.since(0) if one.kind == ChangeKind.STATE and one.body is not None]
            last: dict[str, int] = {}
            for one in changes:
                if one.at_ns < before_ns:
                    last[one.scope] = one.number
            kept = {one.body["sha256"] for one in changes if one.body and one.number >= last.get(one.scope, 0)}
            gone = [name for name, (at_ns, _) in self._states.items() if at_ns < before_ns and name not in kept]
            for name in gone:
                del self._states[name]
            return len(gone)

    def standing(self) -> LearnerStanding:
        """See `LearnedStates`."""
        with self._lock:
            now_ns, noted = self._clock.now_ns(), self._noted
            leads = now_ns < self._until_ns
            if noted is None:
                return LearnerStanding(self._lead.owner, leads, 0, 0, 0, None, None)
            stale_s = None if noted.seen_ns is None else (now_ns - noted.seen_ns) / 1e9
            at = noted.learnt
            return LearnerStanding(
                self._lead.owner, leads, at.position, at.behind, at.moment_ns, stale_s, (now_ns - noted.at_ns) / 1e9,
                at.trouble, at.number,
            )  # fmt: skip

    def ask(self, asked: Asked) -> None:
        """See `LearnedStates`."""
        with self._lock:
            if asked.moment_ns > self._asked.moment_ns:
                self._asked = asked

    def asked(self) -> Asked:
        """See `LearnedStates`."""
        return self._asked

    def grant(self, period: int, amount: float, budget: float) -> float:
        """See `LearnedStates`."""
        with self._lock:
            before = self._granted.get(period, 0.0)
            given = max(0.0, min(amount, budget - before)) if amount > 0 else max(amount, -before)
            self._granted[period] = before + given
            return given

    def granted(self, period: int) -> float:
        """See `LearnedStates`."""
        return self._granted.get(period, 0.0)

    def close(self) -> None:
        """See `LearnedStates`."""

    def _fence(self, lead: Lead) -> None:
        if lead.epoch != self._lead.epoch:
            raise Deposed(f"{self._lead.owner} leads the learning by now, no longer {lead.owner}")
