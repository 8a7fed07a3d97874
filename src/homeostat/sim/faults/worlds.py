"""Quiet worlds: simulated payments with days and weeks, access, hosts, and any app by its declared fields."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from homeostat.records.arrays import Bytes, Float, Int
from homeostat.sim.access.traffic import KINDS, AccessSpec, generate_access
from homeostat.sim.faults.scene import Form, Frame
from homeostat.sim.faults.traffic import DAY_NS, NEVER, Traffic, simple
from homeostat.sim.infra.centre import service_of
from homeostat.sim.infra.world import InfraSpec, generate_infra
from homeostat.sim.payments.transactions import DAY_S, PaymentsSpec, generate
from homeostat.stats.chance import uniform

_SECOND_NS = 1_000_000_000
_WEEK = np.array([1.0, 0.97, 0.98, 1.0, 1.0, 0.8, 0.65])  # From Monday on.
_CUSTOMERS = 1_150  # Some 85 payments an hour, weekends taken off.
_HOSTS = 3  # 180 events an hour; with two, none would be in the middle.


class World(Protocol):
    """Makes the quiet traffic of a seed, from the beginning of the frame to its end."""

    def __call__(self, form: Form, frame: Frame, seed: int) -> Traffic: ...


def payments_world(form: Form, frame: Frame, seed: int) -> Traffic:
    """The published simulation with fewer customers, and a week whose end is quieter."""
    days = frame.warm_days + frame.past_days + frame.days
    share = _CUSTOMERS / 5_000
    made = generate(
        PaymentsSpec(
            customers=_CUSTOMERS, terminals=round(10_000 * share), days=days, start_s=frame.begin_ns // _SECOND_NS,
            radius=min(5.0 * share**-0.5, 50.0), terminals_a_day=1, cards_a_day=1,
        ),
        seed,
    )  # fmt: skip
    rows = np.arange(len(made))
    weekday = (made.time_s // DAY_S + 3) % 7  # 1970-01-01 was a Thursday.
    kept = (uniform(seed, rows, 3) < _WEEK[weekday]) | (made.fraud == 1)
    ids = rows[kept]
    time_ns = made.time_s[kept] * _SECOND_NS
    keys = np.stack([made.customer[kept], made.terminal[kept]], axis=1).astype(np.int64)
    label = made.fraud[kept]
    return simple(
        ids, time_ns, keys, made.amount[kept][:, None], label, known_of(form, ids, time_ns, label, seed), ((),)
    )


def access_world(form: Form, frame: Frame, seed: int) -> Traffic:
    """People, bots and bursts at a service."""
    days = frame.warm_days + frame.past_days + frame.days
    spec = AccessSpec(
        people=60, person_rate=1.2, bots=2, bot_rate=6.0, bursts=max(1, days // 3), hours=24 * days,
        start_s=frame.begin_ns // _SECOND_NS, burst_events=40,
    )  # fmt: skip
    made = generate_access(spec, seed)
    ids, time_ns = np.arange(len(made)), made.time_ms * 1_000_000
    numbers = np.stack([made.kind.astype(np.float64), made.value], axis=1)
    known = known_of(form, ids, time_ns, made.abuse, seed)
    return simple(ids, time_ns, made.entity[:, None].astype(np.int64), numbers, made.abuse, known, (KINDS, ()))


def infra_world(form: Form, frame: Frame, seed: int) -> Traffic:
    """Three hosts of a data centre once a minute, with a fault every other day, which the app is there to find."""
    days = frame.warm_days + frame.past_days + frame.days
    spec = InfraSpec(
        hosts=_HOSTS, days=days, faults=max(1, days // 2), quiet_days=0.5, start_s=frame.begin_ns // _SECOND_NS
    )
    made = generate_infra(spec, seed)
    ids, time_ns = np.arange(len(made)), made.time_s * _SECOND_NS
    service = np.array([service_of(host) for host in range(spec.hosts)])[made.host]
    keys = np.stack([made.host + 1, service + 1], axis=1).astype(np.int64)
    numbers = np.concatenate([made.values, made.deploying[:, None].astype(np.float64)], axis=1)
    known = known_of(form, ids, time_ns, made.fault, seed)
    return simple(ids, time_ns, keys, numbers, made.fault, known, ((),) * numbers.shape[1])


def declared_world(form: Form, frame: Frame, seed: int) -> Traffic:
    """Traffic of an app of which nothing but its declaration is known: values of each field's type and range.

    Entities differ in how much they do and in their usual values. All labels are negative: see `labels_by_risk`.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 23])))
    time_ns = _times(frame, rng, 85.0)
    n, entities = len(time_ns), 400
    keys = np.empty((n, len(form.entities)), np.int64)
    weight = rng.gamma(1.0, 1.0, entities)
    for column in range(keys.shape[1]):
        keys[:, column] = rng.choice(entities, n, p=weight / weight.sum())
        weight = rng.permutation(weight)
    who = keys[:, 0] if keys.shape[1] else rng.integers(0, entities, n)
    columns, words = [], []
    for name in form.fields:
        value, texts = _values(form, name, who, entities, rng)
        columns.append(value)
        words.append(texts)
    numbers = np.stack(columns, axis=1) if columns else np.zeros((n, 0))
    known = np.full(n, NEVER)
    return simple(np.arange(n), time_ns, keys, numbers, np.zeros(n, np.uint8), known, tuple(words))


def _times(frame: Frame, rng: np.random.Generator, an_hour: float) -> Int:
    """Moments with the season of a day and a week."""
    hours = np.arange(frame.begin_ns, frame.end_ns, 3600 * _SECOND_NS)
    of_day = 1.0 + 0.6 * np.sin((hours // (3600 * _SECOND_NS) % 24 - 8) / 24 * 2 * np.pi)
    of_week = _WEEK[(hours // DAY_NS + 3) % 7]
    counts = rng.poisson(an_hour * of_day * of_week)
    start = np.repeat(hours, counts)
    moments: Int = np.sort(start + rng.integers(0, 3_600_000, len(start)) * 1_000_000)
    return moments


def _values(form: Form, name: str, who: Int, entities: int, rng: np.random.Generator) -> tuple[Float, tuple[str, ...]]:
    """Values of a field, and the texts of a category."""
    field, n = form.app.events.fields[name], len(who)
    if field.type == "category":
        texts = field.values or ("a", "b", "c", "d", "e")
        p = 0.6 ** np.arange(len(texts))
        return rng.choice(len(texts), n, p=p / p.sum()).astype(np.float64), tuple(texts)
    if field.type == "boolean":
        return (rng.random(n) < 0.3).astype(np.float64), ()
    usual = rng.lognormal(0.0, 0.6, entities)[who] * rng.lognormal(0.0, 0.5, n)
    low = 0.0 if field.min is None else float(field.min)
    span = 20.0 if field.max is None else min(20.0, (float(field.max) - low) / 8)
    value = low + span * usual
    if field.max is not None:
        value = np.minimum(value, float(field.max))
    return (np.round(value) if field.type == "integer" else np.round(value, 4)), ()


def known_of(form: Form, ids: Int, time_ns: Int, label: Bytes, seed: int) -> Int:
    """(n,) when each outcome is reported: a positive one sooner or later, a negative one when it is mature."""
    drawn = uniform(seed + 2 + 17, ids, 29)
    early = form.early_ns + (drawn * (form.delay_ns - form.early_ns)).astype(np.int64)
    return time_ns + np.where(label == 1, early, form.delay_ns)


def labels_by_risk(traffic: Traffic, form: Form, risk: Float, seed: int) -> Traffic:
    """Traffic whose labels follow the app's own risks of it: 3 % are positive, three quarters of them by risk.

    risk : (n,) as decided in quiet times, NaN where nothing was decided
    """
    n = len(traffic)
    place = np.argsort(np.argsort(np.nan_to_num(risk) + 1e-9 * uniform(seed, traffic.id, 151), kind="stable"))
    high = place / max(1, n - 1)
    chance = np.where(high > 0.96, 0.57, 0.0075)
    label = (uniform(seed, traffic.id, 157) < chance).astype(np.uint8)
    known = known_of(form, traffic.id, traffic.sent_ns, label, seed)
    return Traffic(
        traffic.id, traffic.sent_ns, traffic.time_ns, traffic.arrived_ns, traffic.keys, traffic.numbers, traffic.form,
        label, label.copy(), known, traffic.words,
    )  # fmt: skip
