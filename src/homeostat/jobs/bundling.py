"""Makes the bundle that the wheel carries: the payments app, trained on simulated payments."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from hashlib import sha256
from typing import Any

from homeostat.adapters.disk.sqlite.journal import SqliteJournal
from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, build, untrained
from homeostat.config.definitions import feature_definitions
from homeostat.config.tree import App
from homeostat.engine.assembly import Prepared
from homeostat.jobs.simulated import SECOND_NS, Recipe, events_of
from homeostat.jobs.training import Collector, train
from homeostat.models.bundle import Bundle
from homeostat.models.training_set import Progress
from homeostat.sim.payments.transactions import DAY_S, generate

_BATCH_ROWS = 65_536


def make_bundle(prepared: Prepared, recipe: Recipe, progress: Progress) -> Bundle:
    """Simulate, run everything through the app's windows, and train. Raises MissingExtra without the extra."""
    progress("simulating", 0.0)
    collector = collect(prepared, recipe)
    ppo = {"steps": recipe.ppo_steps, "imitation_steps": recipe.ppo_imitation_steps}
    bundle = train(prepared, collector, progress, recipe.seed, ppo)
    made_of = {"recipe": asdict(recipe), "trains": meaning_of(prepared.app)}
    return replace(bundle, about={**bundle.about, **made_of})


def collect(prepared: Prepared, recipe: Recipe) -> Collector:
    """The rows to learn from, with their features as the windows serve them."""
    app = prepared.app
    delay_days = -(-app.outcomes.delay // (DAY_S * SECOND_NS))
    spec = recipe.spec(delay_days)
    from_s = spec.start_s + recipe.history_days * DAY_S
    until_s = spec.start_s + spec.days * DAY_S
    collector = Collector.of(app, from_s * SECOND_NS, until_s * SECOND_NS, apart=False)
    events = events_of(generate(spec, recipe.seed))
    with SqliteJournal(":memory:", app=app.app, secret=prepared.coding.secret) as journal:
        ports = Ports(journal, SystemClock(), prepared.coding, bounded=False)
        loop = build(app, prepared.features, untrained(app), ports)
        for start in range(0, len(events), _BATCH_ROWS):
            batch = events.slice(start, min(len(events), start + _BATCH_ROWS))
            collector.add(batch, loop.absorb(batch))
        loop.close()
    return collector


def meaning_of(app: App) -> str:
    """A hash of what a bundle depends on in its app file: features, scorers, fusion, costs, outcomes, policy context.

    A key that is not set, or holds its default, changes nothing: a new kind of key leaves old hashes as they are.
    """
    tree: dict[str, Any] = app.model_dump(mode="json", exclude_defaults=True)
    parts = {name: tree.get(name) for name in ("scorers", "fusion", "actions", "costs", "outcomes")}
    for scorer in tree.get("scorers", {}).values():  # How long a scorer may take changes nothing in what it learns.
        scorer.pop("deadline", None)
        scorer.pop("isolated", None)
    parts |= {"features": feature_definitions(app), "context": tree.get("policy", {}).get("context")}
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
