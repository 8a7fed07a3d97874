"""The metrics of the data centre step by step, with the faults that were injected as the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int, Mask
from homeostat.records.compiled import compiled
from homeostat.sim.infra.centre import BELOW_FIRST, METRICS, SERVICES, host_names, service_of
from homeostat.sim.infra.faults import Fault, Own, put, scheduled

DAY_S = 86_400
_PERCENT = ("cpu", "memory", "disk", "disk_io", "loss", "errors")
_CRON_MINUTES = 12
_DEPLOY_MINUTES = 20


@dataclass(frozen=True, slots=True)
class InfraSpec:
    """The settings of the simulation.

    faults : how many are injected, none in the first `quiet_days`
    start_s : a Monday, 00:00 UTC
    missing, dropped : the share of values, and of whole events, that do not come
    """

    hosts: int = 12
    days: int = 30
    faults: int = 40
    quiet_days: float = 8.0
    step_s: int = 60
    start_s: int = 1_767_571_200  # 2026-01-05 00:00 UTC.
    missing: float = 0.001
    dropped: float = 0.0005

    @property
    def steps(self) -> int:
        """Steps of the whole time."""
        return self.days * DAY_S // self.step_s


def some_days(days: int, hosts: int = 12) -> InfraSpec:
    """A data centre with about two faults a day, after a quiet time: half of the days, eight at the most.

    >>> some_days(30).faults, some_days(2).quiet_days
    (44, 1.0)
    """
    quiet = min(8.0, days / 2)
    return InfraSpec(hosts=hosts, days=days, faults=int((days - quiet) * 2), quiet_days=quiet)


@dataclass(frozen=True, slots=True)
class Infra:
    """`n` events in time order, one a host and step.

    time_s : (n,) seconds since 1970 UTC
    host : (n,) place of the host
    values : (n, metrics) in the order of METRICS; NaN is missing
    deploying : (n,) whether the change log has a deploy of the host in these minutes
    fault : (n,) 1 where a fault is at work on the host, or reaches it through a service that it calls
    number : (n,) the place of that fault in `faults`, -1 where there is none
    """

    spec: InfraSpec
    time_s: Int
    host: Int
    values: Float
    deploying: Mask
    fault: Bytes
    number: Int
    faults: tuple[Fault, ...]

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the hosts."""
        return host_names(self.spec.hosts)


def generate_infra(spec: InfraSpec, seed: int, faults: tuple[Fault, ...] | None = None) -> Infra:
    """Metrics of the given data centre; the same seed gives the same bytes.

    faults : these, in place of those that the specification draws

    >>> infra = generate_infra(InfraSpec(hosts=6, days=1, faults=0), seed=1)
    >>> len(infra) > 8_600, int(infra.fault.sum())
    (True, 0)
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 1])))
    if faults is None:
        first = int(spec.quiet_days * DAY_S) // spec.step_s
        chance = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2])))
        faults = scheduled(spec.faults, spec.steps, spec.hosts, first, spec.step_s, chance)
    own, deploying = _own(spec, rng)
    struck = {name: values.copy() for name, values in own.items()}
    put(faults, struck, spec.step_s, seed)
    usual, seen = _together(own, spec), _together(struck, spec)
    number = _reached(spec, faults, usual, seen)
    return _events(spec, seen, deploying, number, faults, rng)


def _own(spec: InfraSpec, rng: np.random.Generator) -> tuple[Own, Mask]:
    """The metrics that hosts make by themselves, and where a deploy is on."""
    shape = (spec.steps, spec.hosts)
    second = spec.start_s + np.arange(spec.steps, dtype=np.int64) * spec.step_s
    load = _load(spec, second, rng)
    cron, deploying, restarted, cpu_level = _cron(spec, second), *_deploys(spec, rng)
    cpu = (6 + 34 * load) * cpu_level + 28 * cron + rng.normal(0, 1.2, shape)
    memory = 45 + 6 * load + _wandering(0.6, 0.995, shape, rng) + np.linspace(-6, 6, spec.hosts)
    disk = 42 + 3 * (second[:, None] % DAY_S) / DAY_S + np.linspace(-8, 8, spec.hosts) + rng.normal(0, 0.05, shape)
    peak = np.array([SERVICES[service_of(host)].requests for host in range(spec.hosts)])
    quick = np.array([SERVICES[service_of(host)].latency_ms for host in range(spec.hosts)])
    requests = peak * load * rng.lognormal(0, 0.02, shape) * np.where(restarted, 0.7, 1.0)
    return {
        "cpu": cpu,
        "memory": memory - 8 * restarted,
        "disk": disk,
        "disk_io": 5 + 9 * load + 35 * cron + np.abs(rng.normal(0, 1.5, shape)),
        "network": 0.05 * requests * rng.lognormal(0, 0.03, shape),
        "loss": 0.04 * rng.lognormal(0, 0.5, shape),
        "requests": requests,
        "latency": quick * rng.lognormal(0, 0.04, shape) * np.where(restarted, 1.5, 1.0),
        "errors": 0.08 * rng.lognormal(0, 0.4, shape),
        "restarts": (restarted & ~np.roll(restarted, 1, axis=0)).astype(np.float64),
        "clock": _wandering(0.3, 0.9, shape, rng),
    }, deploying


def _load(spec: InfraSpec, second: Int, rng: np.random.Generator) -> Float:
    """(steps, hosts) how much of its busiest hour each host does; campaigns that nobody announced raise all."""
    hour, weekday = second % DAY_S / 3600, (second // DAY_S + 3) % 7
    peaks = np.array([SERVICES[service_of(host)].peak_hour for host in range(spec.hosts)])
    of_day = 0.5 + 0.5 * np.cos((hour[:, None] - peaks) / 24 * 2 * np.pi)
    of_week = np.array([1.0, 1.0, 1.0, 1.02, 1.05, 0.75, 0.65])[weekday]
    together = np.exp(_wandering(0.02, 0.98, (spec.steps, 1), rng)) * _campaigns(spec, rng)[:, None]
    found: Float = (0.25 + 0.75 * of_day) * of_week[:, None] * together * rng.lognormal(0, 0.015, of_day.shape)
    return found


def _campaigns(spec: InfraSpec, rng: np.random.Generator) -> Float:
    """(steps,) factors: about twice a week an hour or two of up to a quarter more requests."""
    factor = np.ones(spec.steps)
    minutes = np.arange(spec.steps) * spec.step_s / 60
    for begin in np.sort(rng.uniform(0, spec.steps * spec.step_s / 60, rng.poisson(spec.days * 2 / 7))):
        length, height = rng.uniform(50, 120), rng.uniform(0.1, 0.25)
        inside = (minutes >= begin) & (minutes < begin + length)
        factor[inside] += height * np.sin((minutes[inside] - begin) / length * np.pi)
    return factor


def _cron(spec: InfraSpec, second: Int) -> Mask:
    """(steps, hosts) where the nightly job of a host runs."""
    begins = 2 * 3600 + 600 * np.arange(spec.hosts)
    since = second[:, None] % DAY_S - begins
    found: Mask = (since >= 0) & (since < _CRON_MINUTES * 60)
    return found


def _deploys(spec: InfraSpec, rng: np.random.Generator) -> tuple[Mask, Mask, Float]:
    """(steps, hosts) the minutes that the change log declares, those after a restart, and the processor's level.

    Each service is deployed about once a week, in working hours, one host after the other.
    """
    shape = (spec.steps, spec.hosts)
    declared, restarted, level = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_), np.ones(shape)
    minute = max(1, 60 // spec.step_s)
    for service in range(len(SERVICES)):
        day = float(rng.uniform(1, 8))
        while day < spec.days:
            at = int((int(day) + rng.uniform(9, 16) / 24) * DAY_S) // spec.step_s
            change = rng.uniform(0.93, 1.08)
            for turn, host in enumerate(h for h in range(spec.hosts) if service_of(h) == service):
                begin = at + 6 * minute * turn
                declared[begin : begin + _DEPLOY_MINUTES * minute, host] = True
                restarted[begin + minute : begin + 4 * minute, host] = True
                level[begin + minute :, host] *= change
            day += float(rng.uniform(5, 9))
    return declared, restarted, level


def _wandering(sigma: float, memory: float, shape: tuple[int, int], rng: np.random.Generator) -> Float:
    """(steps, n) autoregressive noise of first order with this standard deviation."""
    noise = rng.normal(0, sigma * np.sqrt(1 - memory**2), shape)
    noise[0] = rng.normal(0, sigma, shape[1])
    _remember(noise, memory)
    return noise


@compiled
def _remember(noise: Float, memory: float) -> None:
    for row in range(1, noise.shape[0]):
        for column in range(noise.shape[1]):
            noise[row, column] += memory * noise[row - 1, column]


def _together(own: Own, spec: InfraSpec) -> Own:
    """The metrics as they are measured: busy processors answer later, and callers wait for those that they call."""
    found = {name: values.copy() for name, values in own.items()}
    for name in _PERCENT:
        np.clip(found[name], 0.0, 100.0, out=found[name])
    used = np.minimum(found["cpu"] / 100, 0.97)
    found["latency"] *= 1 + 0.5 * used**2 / (1 - used)
    places = {service.name: at for at, service in enumerate(SERVICES)}
    runs = np.array([service_of(host) for host in range(spec.hosts)])
    for name in BELOW_FIRST:
        service, mine = SERVICES[places[name]], runs == places[name]
        for callee, share in service.calls:
            theirs = runs == places[callee]
            if theirs.any() and mine.any():
                found["latency"][:, mine] += share * found["latency"][:, theirs].mean(axis=1, keepdims=True)
                found["errors"][:, mine] += share * found["errors"][:, theirs].mean(axis=1, keepdims=True)
    np.clip(found["errors"], 0.0, 100.0, out=found["errors"])
    return found


def _reached(spec: InfraSpec, faults: tuple[Fault, ...], usual: Own, seen: Own) -> Int:
    """(steps, hosts) the fault that each host suffers: its own, or one that makes it a quarter slower or fail more."""
    number = np.full((spec.steps, spec.hosts), -1)
    for place, fault in enumerate(faults):
        rows = slice(fault.start, fault.end)
        slower = seen["latency"][rows] > 1.25 * usual["latency"][rows]
        failing = seen["errors"][rows] > usual["errors"][rows] + 0.5
        reached = slower | failing
        reached[:, list(fault.hosts)] = True
        number[rows] = np.where(reached, place, number[rows])
    return number


def _events(
    spec: InfraSpec, seen: Own, deploying: Mask, number: Int, faults: tuple[Fault, ...], rng: np.random.Generator
) -> Infra:  # fmt: skip
    """One event a step and host. Values are rounded, so that they are the same on all machines."""
    values = np.stack([np.round(seen[name], 3) for name in METRICS], axis=2).reshape(-1, len(METRICS))
    values[rng.random(values.shape) < spec.missing] = np.nan
    kept = rng.random(len(values)) >= spec.dropped
    time = np.repeat(spec.start_s + np.arange(spec.steps, dtype=np.int64) * spec.step_s, spec.hosts)
    host = np.tile(np.arange(spec.hosts), spec.steps)
    flat = number.reshape(-1)
    return Infra(
        spec, time[kept], host[kept], values[kept], deploying.reshape(-1)[kept],
        (flat[kept] >= 0).astype(np.uint8), flat[kept], faults,
    )  # fmt: skip
