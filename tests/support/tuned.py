"""A small app that is tuned in a second: payments of which the large ones are frauds, with noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

START_S = 1_700_000_000
UNTIL = "2023-11-25T00:00:00Z"  # Ten days and a half after the first event.
UNTIL_NS = 1_700_870_400 * 10**9
BOOSTED = "boosted: {kind: boosted_trees, settings: {trees: 4, depth: 2, rate: 0.3}}"
TUNE = "{folds: 2, fold: 2d, trials: 6, scorers: {boosted: {depth: {low: 1, high: 4}, rate: {low: 0.05, high: 0.9}}}}"


def app_file(folder: Path, tune: str = TUNE, scorers: str = BOOSTED, fusion: str = "{kind: learned}",
             costs: bool = True, more: str = "") -> Path:  # fmt: skip
    """An app file in a folder."""
    cost = "costs: {allow: {positive: amount, negative: 0}, block: {positive: 0, negative: 1}}" if costs else ""
    path = folder / "app.yaml"
    path.write_text(f"""
homeostat: 1
app: small
seed: 7
events:
  entities: {{customer: {{}}}}
  fields: {{amount: {{type: number}}}}
  label: {{name: fraud}}
features:
  windows: [{{entity: customer, lengths: [1d], compute: {{count: count, mean: mean(amount)}}}}]
scorers: {{{scorers}}}
fusion: {fusion}
actions: [allow, block]
{cost}
guards: {{fallback: {{scorers_absent: allow}}}}
outcomes: {{label: fraud, delay: 1h, horizon: 1h}}
tune: {tune}
{more}
""")
    return path


def events_file(folder: Path, n: int = 1500, frauds: float = 0.1) -> Path:
    """Events ten minutes apart, of forty customers."""
    rng = np.random.default_rng(1)
    fraud = rng.random(n) < frauds
    amount = rng.exponential(20, n) + 30 * fraud
    rows = [
        {"event_id": k, "time": START_S + 600 * k, "customer": int(rng.integers(0, 40)), "amount": float(amount[k]),
         "fraud": int(fraud[k])}
        for k in range(n)
    ]  # fmt: skip
    path = folder / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path
