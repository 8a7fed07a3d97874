"""A small app whose amounts are a hundred times as large from some day on, decided in a data folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from homeostat.engine.assembly import open_engine

# The tick is of two hours, so that two weeks are few ticks; the scale needs 48 of them and a week.
APP = """
homeostat: 1
app: watched
seed: 5
events:
  entities: {customer: {}}
  fields: {amount: {type: number}}
features:
  windows: [{entity: customer, lengths: [1d], compute: {n: count}}]
scorers:
  size:
    kind: rules
    rules: [{name: large, when: amount > 50, score: 0.8}, {name: other, when: amount >= 0, score: 0.02}]
fusion: {kind: weighted}
actions: [allow, block]
costs: {allow: {positive: amount, negative: 0}, block: {positive: 0, negative: 3}}
policy: {holdout: 0.1}
guards: {fallback: {scorers_absent: allow}}
outcomes: {delay: 1d, horizon: 2d, maturity: 1d, unknown: negative}
maintain: {tick: 2h, remembers: 1000}
"""
START_S = 1_767_571_200  # Monday, 2026-01-05.
HOUR_S = 3600


def app_file(folder: Path, more: str = "") -> Path:
    """The app's file in a folder."""
    path = folder / "watched.yaml"
    path.write_text(APP + more)
    return path


def events_of(hour: int, broken: bool) -> list[dict[str, object]]:
    """The events of an hour."""
    rng = np.random.default_rng([7, hour])
    n = 12 + int(rng.poisson(4))
    amounts = np.round(np.exp(rng.normal(2.5, 0.5, n)) * (100 if broken else 1), 2)
    times = START_S + hour * HOUR_S + np.sort(rng.integers(0, HOUR_S, n))
    return [
        {"event_id": f"e{hour}-{k}", "time": int(times[k]), "customer": f"c{int(rng.integers(40))}",
         "amount": float(amounts[k])}
        for k in range(n)
    ]  # fmt: skip


def decide(data: Path, app: Path, hours: range, broken_from: int) -> None:
    """Let a server decide the events of some hours in a data folder, one entry of the journal each."""
    with open_engine(app, data=data, audit=False) as engine:
        for hour in hours:
            engine.decide(events_of(hour, hour >= broken_from))
