"""The simulated data centre as a source: its metrics are written as InfluxDB lines, as Telegraf writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from homeostat.sim.infra.centre import METRICS, SERVICES, service_of
from homeostat.sim.infra.world import DAY_S, Infra, InfraSpec, generate_infra

_SECOND = 1_000_000_000
_MEASUREMENTS = {
    "cpu": ("cpu", ",cpu=cpu-total", "usage_active"), "memory": ("mem", "", "used_percent"),
    "disk": ("disk", ",path=/", "used_percent"), "disk_io": ("diskio", "", "io_util"),
    "network": ("net", ",interface=eth0", "bytes_recv_rate"), "loss": ("ping", "", "percent_packet_loss"),
    "clock": ("ntpq", "", "offset"),
}  # fmt: skip
_OF_SERVICE = ("requests", "latency", "errors", "restarts")
_POSTED_STEPS = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """How a source is timed.

    history_days : before now; the first half is written at once
    speed : steps that are written in the time of one, until now is reached
    """

    history_days: int = 2
    speed: float = 60.0
    days: int = 7

    def spec(self) -> InfraSpec:
        """The data centre: five faults a day, none in what is written at once."""
        quiet = self.history_days / 2
        days = self.history_days + self.days
        return InfraSpec(days=days, faults=int((days - quiet) * 5), quiet_days=quiet)


class Source:
    """Writes a data centre step by step.

    post : takes lines
    now_ns : the clock
    wait : waits so many seconds; True if it is to stop
    """

    def __init__(
        self, pace: Pace, seed: int, post: Callable[[bytes], None], now_ns: Callable[[], int],
        wait: Callable[[float], bool],
    ) -> None:  # fmt: skip
        self.pace, self._post, self._now_ns, self._wait = pace, post, now_ns, wait
        self.infra: Infra = generate_infra(pace.spec(), seed)
        spec = self.infra.spec
        begins_s = now_ns() // _SECOND - pace.history_days * DAY_S
        self._shift = (begins_s - spec.start_s) // DAY_S * DAY_S  # Whole days: nights are nights.
        self._step = (self.infra.time_s - spec.start_s) // spec.step_s
        self.first = (begins_s - self._shift - spec.start_s) // spec.step_s
        self.written = 0

    def run(self) -> None:
        """Write the history, then step by step, until it is to stop or the data centre ends."""
        steps, step_s = self.infra.spec.steps, self.infra.spec.step_s
        past = self.first + self.pace.history_days * DAY_S // step_s // 2
        for start in range(self.first, past, _POSTED_STEPS):
            self._write(start, min(start + _POSTED_STEPS, past))
            if self._wait(0):
                return
        for step in range(past, steps):
            at_s = self.infra.spec.start_s + self._shift + (step + 1) * step_s
            ahead = at_s - self._now_ns() / _SECOND
            if self._wait(max(ahead, step_s / self.pace.speed)):
                return
            self._write(step, step + 1)

    def _write(self, first: int, end: int) -> None:
        a, b = np.searchsorted(self._step, [first, end]).tolist()
        lines = "\n".join(line for row in range(a, b) for line in self._lines(row))
        if lines:
            self._post(lines.encode() + b"\n")
            self.written += b - a

    def _lines(self, row: int) -> Iterator[str]:
        """The lines of an event; a missing metric has none."""
        infra = self.infra
        host, time_ns = infra.names[infra.host[row]], (int(infra.time_s[row]) + self._shift) * _SECOND
        values = dict(zip(METRICS, infra.values[row].tolist(), strict=True))
        for name, (measurement, tags, field) in _MEASUREMENTS.items():
            if not np.isnan(values[name]):
                yield f"{measurement},host={host}{tags} {field}={values[name]} {time_ns}"
        service = SERVICES[service_of(int(infra.host[row]))].name
        fields = [f"{name}={values[name]}" for name in _OF_SERVICE if not np.isnan(values[name])]
        fields.append(f"deploying={'true' if infra.deploying[row] else 'false'}")
        yield f"service,host={host},service={service} {','.join(fields)} {time_ns}"
