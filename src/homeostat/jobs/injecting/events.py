"""Endless events of an app: of its simulated world where there is one, else of what its file declares."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from homeostat.config.tree import App, FieldType
from homeostat.jobs.simulation import WORLDS

_DAYS = 2
_CATEGORIES = ("a", "b", "c")
_PERIOD = 600  # Events of a stream until its numbers have swung up and down once.


def events_of(app: App, streams: int | None, seed: int) -> Iterator[dict[str, Any]]:
    """Events without id and time, for ever; the same for the same seed.

    streams : how many people, hosts or other entities act; as many as is usual in the app's world when absent
    """
    if app.app in WORLDS:
        return _of_world(app, WORLDS[app.app].usual if streams is None else streams, seed)
    return _of_declaration(app, 100 if streams is None else streams, seed)


def _of_world(app: App, streams: int, seed: int) -> Iterator[dict[str, Any]]:
    """Some days of the app's world, over and over."""
    table = WORLDS[app.app].make(_DAYS, seed, streams).events
    own = {app.events.id.name, app.events.time.name, *app.events.id.aliases, *app.events.time.aliases}
    table = table.drop_columns([name for name in table.column_names if name in own])
    while True:
        for batch in table.to_batches(max_chunksize=1000):
            for row in batch.to_pylist():
                yield {name: value for name, value in row.items() if value is not None}


def _of_declaration(app: App, streams: int, seed: int) -> Iterator[dict[str, Any]]:
    """Each entity in turn. A number swings around the middle of what is allowed, a stream behind the other."""
    rng = np.random.default_rng(seed)
    entities = [name for name, entity in app.events.entities.items() if entity.of is None]
    number = 0
    while True:
        for stream in range(streams):
            event: dict[str, Any] = {name: f"{name}-{stream}" for name in entities}
            phase = 2 * math.pi * (number / _PERIOD + stream / streams)
            for name, field in app.events.fields.items():
                event[name] = _value(field, phase, rng)
            yield event
        number += 1


def _value(field: FieldType, phase: float, rng: np.random.Generator) -> float | int | bool | str:
    if field.type == "boolean":
        return bool(rng.random() < 0.5)
    if field.type == "category":
        known = field.values or _CATEGORIES
        return known[int(rng.integers(len(known)))]
    low = field.min if field.min is not None else 0.0 if field.max is None else field.max - 100.0
    high = field.max if field.max is not None else low + 100.0
    swing = 0.5 + 0.3 * math.sin(phase) + 0.05 * float(rng.standard_normal())
    value = low + (high - low) * min(max(swing, 0.0), 1.0)
    return min(max(math.floor(value), math.ceil(low)), math.floor(high)) if field.type == "integer" else value
