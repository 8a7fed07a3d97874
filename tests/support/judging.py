"""An engine's features held against the oracle's."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from random import Random
from typing import Any

import yaml
from tests.support import made_up
from tests.support.oracle import Oracle, agrees, evaluate

from homeostat import load


@dataclass(slots=True)
class Judgement:
    """The number compared and the differences."""

    features: int = 0
    events: int = 0
    apps: int = 0
    differing: list[str] = field(default_factory=list)


def judge(seed: int, folder: Any, judgement: Judgement, events: int = 120) -> None:
    """One made-up app and its stream, in batches of any size."""
    random = Random(seed)
    app = made_up.app(random)
    rows = made_up.stream(random, app, events)
    path = folder / "app.yaml"
    path.write_text(yaml.safe_dump(app))
    oracle = Oracle(app)
    expected = {}
    with load(str(path)) as engine:
        while rows:
            batch = take_batch(random, rows)
            if "outcome" in batch[0]:
                for row in batch:
                    oracle.learn(row["event_id"], row["label"])
                engine.learn([{"event_id": row["event_id"], "label": row["label"]} for row in batch])
                continue
            for row in batch:
                if row["event_id"] not in expected:
                    expected[row["event_id"]] = oracle.decide(row)
            engine.decide([sent(row) for row in batch])
        for event_id, features in expected.items():
            found = engine.decision(event_id, features=True)
            assert found is not None
            compare(app, oracle, event_id, features, found["features"], judgement, seed)
    judgement.events += len(expected)
    judgement.apps += 1


def take_batch(random: Random, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The next rows of one kind."""
    size, kind = random.choice([1, 3, 50]), "outcome" in rows[0]
    count = next((place for place, row in enumerate(rows) if ("outcome" in row) != kind or place == size), len(rows))
    taken = rows[:count]
    del rows[:count]
    return taken


def sent(row: dict[str, Any]) -> dict[str, Any]:
    """An event as a client would send it."""
    whole, part = divmod(row["time_ns"], 10**9)
    stamp = f"{iso(whole)}.{part:09}Z"
    return {"time": stamp, **{name: x for name, x in row.items() if name != "time_ns" and x is not None}}


def iso(second: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def compare(
    app: dict[str, Any], oracle: Oracle, event_id: str, expected: dict[str, Any], found: dict[str, Any],
    judgement: Judgement, seed: int,
) -> None:  # fmt: skip
    """One event: its windows, and what is derived from the windows that were served."""
    kinds = {feature.name: feature.kind for feature in oracle.features}
    for name, x in expected.items():
        if found[name]["freshness"] == "stale":
            continue  # The event is so late that a part of the window is not kept any more, which is flagged.
        judgement.features += 1
        if not agrees(kinds[name], found[name]["value"], x):
            judgement.differing.append(f"seed {seed}: {event_id}.{name} is {found[name]['value']!r}, should be {x!r}")
    event = oracle.events[event_id]
    names = {**event.fields, **{name: one["value"] for name, one in found.items() if name in expected}}
    for name, text in app["features"]["derived"].items():
        judgement.features += 1
        x = evaluate(ast.parse(text, mode="eval").body, names)
        if not agrees("derived", found[name]["value"], x):
            judgement.differing.append(f"seed {seed}: {event_id}.{name} is {found[name]['value']!r}, should be {x!r}")
