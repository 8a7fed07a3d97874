"""The faults of the data centre, and how each changes the metrics of the host or service that it strikes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Float
from homeostat.sim.infra.centre import SERVICES, service_of

Own = dict[str, Float]
"""By metric, (steps, hosts): the metrics that hosts make by themselves, before services wait for each other."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    metric : the metric in which it begins
    minutes : how long it lasts, at least and at most
    of_service : whether it strikes all hosts of a service
    put : changes the metrics in place: (metrics, rows, host, strength in [0, 1], minutes since the start, chance)
    """

    metric: str
    minutes: tuple[int, int]
    put: Callable[[Own, slice, int, float, Float, np.random.Generator], None]
    of_service: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was injected.

    hosts : places of the hosts that it strikes
    start, end : steps, the end left out
    """

    kind: str
    service: str
    hosts: tuple[int, ...]
    start: int
    end: int
    strength: float

    @property
    def metric(self) -> str:
        """The metric in which it begins."""
        return KINDS[self.kind].metric


def _cpu_hog(own: Own, rows: slice, host: int, strength: float, age: Float, rng: np.random.Generator) -> None:
    own["cpu"][rows, host] += 30 + 25 * strength + rng.normal(0, 2, len(age))


def _leak(own: Own, rows: slice, host: int, strength: float, age: Float, rng: np.random.Generator) -> None:
    before = own["memory"][rows, host].mean()
    grown = (0.6 + 0.9 * strength) * age % max(5.0, 97.0 - before)  # Killed when memory ends, it begins again.
    killed = np.diff(grown, prepend=0.0) < 0
    own["memory"][rows, host] += grown
    own["restarts"][rows, host] += killed
    own["errors"][rows, host] += 8.0 * killed


def _disk_fill(own: Own, rows: slice, host: int, strength: float, age: Float, rng: np.random.Generator) -> None:
    own["disk"][rows, host] += (0.5 + 0.8 * strength) * age
    own["disk_io"][rows, host] += 12 + 15 * strength + rng.normal(0, 2, len(age))
    full = own["disk"][rows, host] > 96
    own["errors"][rows, host] += 6.0 * full


def _packet_loss(own: Own, rows: slice, host: int, strength: float, age: Float, rng: np.random.Generator) -> None:
    own["loss"][rows, host] += (1.5 + 5 * strength) * rng.lognormal(0, 0.3, len(age))
    own["latency"][rows, host] *= 1.6 + 1.5 * strength
    own["network"][rows, host] *= 0.85 - 0.15 * strength
    own["errors"][rows, host] += 0.4 + strength


def _slow(own: Own, rows: slice, host: int, strength: float, age: Float, rng: np.random.Generator) -> None:
    own["latency"][rows, host] *= (3.0 + 3.0 * strength) * rng.lognormal(0, 0.1, len(age))


def _noisy_neighbour(own: Own, rows: slice, host: int, strength: float, age: Float, rng: np.random.Generator) -> None:
    busy = np.clip(0.8 + 0.3 * np.sin(age / 3.0 + rng.uniform(0, 6)) + rng.normal(0, 0.1, len(age)), 0.3, 1.2)
    own["cpu"][rows, host] += (14 + 10 * strength) * busy
    own["disk_io"][rows, host] += (18 + 12 * strength) * busy
    own["latency"][rows, host] *= 1 + (0.6 + 0.8 * strength) * busy


def _crash_loop(own: Own, rows: slice, host: int, strength: float, age: Float, rng: np.random.Generator) -> None:
    down = age % (3 if strength > 0.5 else 4) < 2
    own["restarts"][rows, host] += np.diff(down.astype(np.float64), prepend=0.0) > 0
    own["requests"][rows, host] *= np.where(down, 0.3, 0.8)
    own["cpu"][rows, host] *= np.where(down, 0.6, 1.0)
    own["errors"][rows, host] += np.where(down, 12 + 20 * strength, 2.0)


def _clock(own: Own, rows: slice, host: int, strength: float, age: Float, rng: np.random.Generator) -> None:
    own["clock"][rows, host] += (8 + 25 * strength) * (age + 1)


KINDS: dict[str, Kind] = {
    "cpu hog": Kind("cpu", (20, 60), _cpu_hog),
    "leak": Kind("memory", (50, 110), _leak),
    "disk fill": Kind("disk", (40, 70), _disk_fill),
    "packet loss": Kind("loss", (20, 60), _packet_loss),
    "slow dependency": Kind("latency", (20, 60), _slow, of_service=True),
    "noisy neighbour": Kind("cpu", (25, 60), _noisy_neighbour),
    "crash loop": Kind("restarts", (15, 45), _crash_loop),
    "clock": Kind("clock", (30, 60), _clock),
}


def scheduled(
    count: int, steps: int, hosts: int, first: int, step_s: int, rng: np.random.Generator
) -> tuple[Fault, ...]:  # fmt: skip
    """So many faults, one after the other, each kind about as often; none before the step `first`.

    Raises ValueError where so many do not fit: each needs four hours of its own.
    """
    if count == 0:
        return ()
    room = (steps - first) // count
    if room * step_s < 4 * 3600:
        raise ValueError(f"{count} faults need {4 * count} hours after the first {first} steps: fewer, or more days")
    kinds = [str(name) for _ in range(-(-count // len(KINDS))) for name in rng.permutation(list(KINDS))]
    return tuple(_one(kinds[place], first + place * room, room, hosts, step_s, rng) for place in range(count))


def _one(kind: str, begins: int, room: int, hosts: int, step_s: int, rng: np.random.Generator) -> Fault:
    low, high = KINDS[kind].minutes
    length = max(2, int(rng.integers(low, high + 1)) * 60 // step_s)
    start = begins + int(rng.integers(0, room - length - 3600 // step_s))
    place, strength = int(rng.integers(0, hosts)), float(rng.random())
    service = service_of(place)
    struck: tuple[int, ...] = (place,)
    if KINDS[kind].of_service:
        struck = tuple(host for host in range(hosts) if service_of(host) == service)
    return Fault(kind, SERVICES[service].name, struck, start, start + length, strength)


def put(faults: tuple[Fault, ...], own: Own, step_s: int, seed: int) -> None:
    """Change the metrics as the faults do; each fault draws its own chance."""
    for number, fault in enumerate(faults):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 7, number])))
        age = np.arange(fault.end - fault.start) * step_s / 60
        for host in fault.hosts:
            KINDS[fault.kind].put(own, slice(fault.start, fault.end), host, fault.strength, age, rng)
