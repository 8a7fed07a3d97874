"""Random apps, events and outcomes, of all magnitudes, for the oracle to judge."""

from __future__ import annotations

import math
from random import Random
from typing import Any

KINDS = ("sum", "mean", "std", "min", "max", "distinct", "last", "count", "rate", "since_last", "since_first")
VALUES = ("x", "y", "x * y", "x - 2 * y", "abs(x)", "max(x, y)", "default(y, 0)", "x / y", "flag", "x == y")
DISTINCT = ("shop", "channel", "x", "y", "flag")
FILTERS = ("x > 0", "channel == 'web'", "not missing(y)", "x < y or flag", "channel != 'web' and y >= 0", "not flag")
DERIVED = {
    "z_score": "(x - {mean}) / {std}",
    "share": "x / {sum}",
    "above": "x - {mean}",
    "spread": "default({std}, 0) / max(abs({mean}), 1)",
}
LENGTHS = ("1ms", "10s", "45s", "2m", "10m", "3h")
START_NS = 1_700_000_000 * 10**9


def app(random: Random) -> dict[str, Any]:
    """An app file as a mapping."""
    delays = ["0s", "0s", "0s", "20s", "3m"]
    made: dict[str, Any] = {
        "homeostat": 1,
        "app": "made_up",
        "events": {
            "entities": {"card": {}, "shop": {"required": False}, "both": {"of": ["card", "shop"], "required": False}},
            "fields": {
                "x": {"type": "number", "required": False},
                "y": {"type": "number", "required": False},
                "flag": {"type": "boolean", "required": False},
                "channel": {"type": "category", "required": False},
            },
            "lateness": random.choice(["0s", "5s", "1m"]),
        },
        "features": {"windows": [], "derived": {}},
        "scorers": {"rule": {"kind": "rules", "rules": [{"name": "any", "when": "x > 0", "score": 0.5}]}},
        "fusion": {"kind": "weighted"},
        "actions": ["allow", "block"],
        "costs": {"allow": {"positive": 1, "negative": 0}, "block": {"positive": 0, "negative": 1}},
        "guards": {"fallback": {"scorers_absent": "allow"}},
        "outcomes": {"label": "bad", "delay": "10s", "unknown": random.choice(["negative", "skip"])},
    }
    if random.random() < 0.5:
        made["events"]["label"] = {"name": "bad"}
    for number in range(random.randrange(2, 6)):
        made["features"]["windows"].append(group(random, number, random.choice(delays)))
    whole = {"entity": "card", "lengths": [random.choice(LENGTHS[1:])], "past": random.random() < 0.5}
    named = {kind: f"all_{kind}" for kind in ("sum", "mean", "std")}
    made["features"]["windows"].append({**whole, "compute": {name: f"{kind}(x)" for kind, name in named.items()}})
    for name in random.sample(sorted(DERIVED), 2):
        made["features"]["derived"][name] = DERIVED[name].format(**named)
    return made


def group(random: Random, number: int, delay: str) -> dict[str, Any]:
    """A group of windows."""
    made: dict[str, Any] = {
        "entity": random.choice(["card", "card", "shop", "both"]),
        "lengths": random.sample(LENGTHS, random.randrange(1, 3)),
        "delay": delay,
        "past": random.random() < 0.3,
        "compute": {},
    }
    filters = [random.choice(FILTERS)] if random.random() < 0.5 else []
    if delay != "0s" and random.random() < 0.4:
        filters.append(random.choice(["bad == 1", "bad == 0", "not missing(bad)"]))
    elif delay != "0s" and random.random() < 0.3:
        made["compute"][f"g{number}_since_{{length}}"] = "count_since(bad)"
    if filters:
        made["where"] = " and ".join(f"({part})" if " or " in part else part for part in filters)
    for place in range(random.randrange(1, 5)):
        kind = random.choice(KINDS)
        of = random.choice(DISTINCT if kind == "distinct" else [*VALUES, *["bad"] * 3 * (delay != "0s")])
        bare = kind in ("count", "rate", "since_last", "since_first") and random.random() < 0.5
        made["compute"][f"g{number}_{place}_{{length}}"] = kind if bare else f"{kind}({of})"
    return made


def value(random: Random, style: str) -> float:
    """A number of a style."""
    if style == "mixed":
        style = random.choice(["prices", "prices", "prices", "ends", "any"])
    match style:
        case "prices":
            return round(random.lognormvariate(3.5, 1.5), 2)
        case "few prices":
            return random.choice([99.99, 0.07, 0.07, 19.9])
        case "near":
            return 1e5 + random.randrange(-3, 4) * 2.0**-36
        case "whole":
            return float(random.randrange(-5, 6))
        case "ends":
            return random.choice([1.7e308, 1e308, -1e308, 1e-308, 5e-324, -5e-324, 0.0, 1.0, 1e16, -1e35, 1e141])
        case "tiny":
            return math.ldexp(random.randrange(-(2**53), 2**53), -1074 - random.randrange(0, 50))
    return math.ldexp(random.uniform(-1, 1), random.randrange(-1074, 1025))


STYLES = ("prices", "few prices", "near", "whole", "ends", "tiny", "any", "mixed")


def stream(random: Random, made: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Events and outcomes in the order in which they come: ties, gaps, late ones, repeats, corrections."""
    style, now, rows = random.choice(STYLES), START_NS, []
    labelled = "label" in made["events"]
    for number in range(count):
        now += random.choice([0, 0, 1, 10**6, 10**9, 10**9, 7 * 10**9, 30 * 10**9, 400 * 10**9])
        if rows and random.random() < 0.15:
            rows.append({"outcome": True, "event_id": random.choice(rows)["event_id"], "label": random.randrange(2)})
            continue
        if rows and random.random() < 0.03:
            rows.append(random.choice([row for row in rows if "time_ns" in row]))
            continue
        late = random.choice([0, 0, 0, 0, 0, 2 * 10**9, 20 * 10**9, 300 * 10**9])
        row: dict[str, Any] = {
            "event_id": f"e{number}", "time_ns": now - late, "card": random.choice(["a", "a", "b"]),
            "shop": random.choice(["s", "s", "t", None]), "x": value(random, style), "y": value(random, style),
            "flag": random.choice([True, False]), "channel": random.choice(["web", "till"]),
        }  # fmt: skip
        for name in ("x", "y", "flag", "channel"):
            if random.random() < 0.05:
                row[name] = None
        if labelled and random.random() < 0.5:
            row["bad"] = random.randrange(2)
        rows.append(row)
    return rows
