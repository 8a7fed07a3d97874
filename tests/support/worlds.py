"""A small simulated world of payments, and an app of every kind of scorer that trains on it in seconds."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow.parquet as pq

from homeostat.config.load import load_app
from homeostat.config.tree import App
from homeostat.jobs.replay import Request, replay_events
from homeostat.sim.payments.transactions import Payments, PaymentsSpec, generate

DAY_NS = 86_400 * 10**9
SMALL = {
    "boosted": {"trees": 12, "depth": 3, "rate": 0.3},
    "network": {"hidden": (8,), "epochs": 2},
    "forest": {"trees": 10, "rows": 64},
}


def small_app(**update: Any) -> App:
    """The shipped payments app, with models that train in a moment, an adaptive fusion and a bandit; no deadlines."""
    app = load_app("payments")
    scorers = {
        name: spec.model_copy(update={"settings": SMALL.get(name, {}), "deadline": None})
        for name, spec in app.scorers.items()
    }
    fusion = app.fusion.model_copy(update={"kind": "adaptive"})
    policy = app.policy.model_copy(
        update={"kind": "bandit", "exploration": app.policy.exploration.model_copy(update={"budget": 50.0})}
    )
    return app.model_copy(update={"deadline": None, "scorers": scorers, "fusion": fusion, "policy": policy, **update})


@lru_cache(maxsize=1)
def payments() -> Payments:
    """Some twenty thousand payments of six weeks, with more fraud than usual so that little data teach something."""
    return generate(PaymentsSpec(customers=250, terminals=400, days=42), seed=11)


@lru_cache(maxsize=1)
def events_file() -> Path:
    """The payments as a Parquet file."""
    path = Path(mkdtemp(prefix="homeostat-test-")) / "events.parquet"
    pq.write_table(payments().table(), path)
    return path


@lru_cache(maxsize=1)
def trained() -> Path:
    """A bundle trained on the first four weeks."""
    start_ns = int(payments().time_s.min()) * 10**9
    out = Path(mkdtemp(prefix="homeostat-test-"))
    replay_events(
        small_app(), Request(events_file(), out, train_until_ns=start_ns + 28 * DAY_NS), lambda what, share: None
    )
    return out / "bundle"
