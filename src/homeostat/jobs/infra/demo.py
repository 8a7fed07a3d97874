"""The demo of the infra app: a day of twelve hosts with four faults, decided minute by minute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from homeostat.engine.assembly import prepare
from homeostat.jobs.infra.causes import AFTER, causes, loudest
from homeostat.jobs.infra.deciding import OUT_OF, Watch
from homeostat.jobs.infra.episodes import Episode, Judged, episodes, judged
from homeostat.models.training_set import Progress, silent
from homeostat.records.arrays import Mask
from homeostat.sim.infra.centre import METRICS, SERVICES, service_of
from homeostat.sim.infra.faults import Fault
from homeostat.sim.infra.world import DAY_S, Infra, InfraSpec, generate_infra

ALERT = 2
"""The place of `alert` among the app's actions."""
_SINGLE = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of the demo.

    history_days : only fill the windows
    at_once : steps that are decided between two looks
    """

    seed: int = 1
    history_days: int = 3
    days: int = 1
    faults: int = 4
    at_once: int = 10

    def spec(self) -> InfraSpec:
        """The data centre that is simulated."""
        return InfraSpec(days=self.history_days + self.days, faults=self.faults, quiet_days=self.history_days)


class InfraDemo:
    """The data centre, and what is seen of it as it goes. A context manager."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.infra: Infra = generate_infra(plan.spec(), plan.seed)
        self.watch = Watch(self.infra, prepare("infra"))
        self.first = plan.history_days * DAY_S // self.infra.spec.step_s
        self.now = self.first
        self._causes: dict[int, list[tuple[str | None, float]]] = {}  # By step; of those that are looked at in full.

    def __enter__(self) -> InfraDemo:
        return self

    def __exit__(self, *error: object) -> None:
        self.watch.__exit__(*error)

    def open(self, progress: Progress = silent) -> None:
        """Let the past fill the windows."""
        self.watch.absorb(self.first, progress)
        progress("ready", 1.0)

    def run(self) -> Iterator[float]:
        """Live through the day; yields how far along it is. The last events are decided one at a time."""
        steps = self.infra.spec.steps
        single = max(self.first, steps - _SINGLE // self.infra.spec.hosts)
        for now in range(self.first, steps, self.plan.at_once):
            end = min(now + self.plan.at_once, steps)
            if end > single:
                self.watch.decide_singly(now, end - now)
            else:
                self.watch.decide(now, end - now)
            self.now = end
            yield (end - self.first) / (steps - self.first)

    @property
    def alert(self) -> Mask:
        """(steps, hosts) where the app alerts."""
        found: Mask = self.watch.seen.action == ALERT
        return found

    def clock(self, step: int) -> str:
        """The time of day of a step, in hours and minutes."""
        second = (self.infra.spec.start_s + step * self.infra.spec.step_s) % DAY_S
        return f"{second // 3600:02d}:{second // 60 % 60:02d}"

    def found(self) -> list[dict[str, Any]]:
        """The episodes so far: when each was found, in which metric, and which service began it."""
        return [self._found(one) for one in episodes(self.alert)]

    def _found(self, one: Episode) -> dict[str, Any]:
        seen, looked = self.watch.seen, min(one.first + AFTER, self.now)
        ranking = self._causes.get(one.first) or causes(seen, one.first)
        if looked < self.now:
            self._causes[one.first] = ranking
        began = ranking[0][0]
        of_service = tuple(host for host in one.hosts if SERVICES[service_of(host)].name == began) or one.hosts
        step, host, metric = loudest(seen, one.first, of_service)
        at = step, host, OUT_OF.index(metric)
        fault = self._fault(one)
        return {
            "step": one.first, "at": self.clock(one.first), "last": self.clock(one.last), "looked": looked,
            "hosts": [self.infra.names[place] for place in one.hosts],
            "host": self.infra.names[host], "metric": metric, "value": _number(seen.now[at]),
            "usual": [_number(seen.low[at]), _number(seen.high[at])],
            "began": began, "probability": round(ranking[0][1], 3),
            "ranking": [{"node": node, "probability": round(share, 4)} for node, share in ranking],
            "fault": None if fault is None else fault.kind,
        }  # fmt: skip

    def _fault(self, one: Episode) -> Fault | None:
        return next((f for f in self.infra.faults if f.start <= one.last and one.first < f.end), None)

    def judged(self) -> Judged:
        """The alerts so far beside the truth."""
        return judge(self.infra, self.alert, self.first)

    def summary(self) -> dict[str, Any]:
        """All that the last screen shows."""
        found, truth = self.found(), self.judged()
        faults = [self._row(fault, delay, found) for fault, delay in zip(self.infra.faults, truth.delays, strict=True)]
        single = np.array(self.watch.single_us) if self.watch.single_us else np.array([np.nan])
        return {
            "seed": self.plan.seed, "hosts": self.infra.spec.hosts, "metrics": len(METRICS),
            "services": len(SERVICES), "decisions": int((self.watch.step >= self.first).sum()),
            "history_days": self.plan.history_days, "faults": faults, "false_alarms": len(truth.false),
            "false": [{"at": self.clock(one.first), "hosts": [self.infra.names[h] for h in one.hosts]}
                      for one in truth.false],
            "single_us": {"p50": float(np.median(single)), "p99": float(np.quantile(single, 0.99))},
        }  # fmt: skip

    def _row(self, fault: Fault, delay: int | None, found: list[dict[str, Any]]) -> dict[str, Any]:
        seen = None
        if delay is not None:
            seen = max((one for one in found if one["step"] <= fault.start + delay), key=lambda one: one["step"])
        names = [self.infra.names[host] for host in fault.hosts]
        return {
            "kind": fault.kind, "service": fault.service, "hosts": names, "at": self.clock(fault.start),
            "until": self.clock(fault.end), "found_after_minutes": delay, "found": seen,
            "right": seen is not None and seen["began"] == fault.service,
        }  # fmt: skip


def judge(infra: Infra, alert: Mask, first: int) -> Judged:
    """The alerts of a data centre beside its truth, from a step on."""
    step = (infra.time_s - infra.spec.start_s) // infra.spec.step_s
    number = np.full((infra.spec.steps, infra.spec.hosts), -1)
    number[step, infra.host] = infra.number
    reached = [number[fault.start : fault.end] == place for place, fault in enumerate(infra.faults)]
    return judged(alert, reached, infra.faults, first, infra.spec.step_s)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 3)
