"""From recorded events to a trained bundle, through the very windows that serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from homeostat.app import TRAINED, ppo_settings, ready_scorers
from homeostat.decide.contracts import Scorer
from homeostat.decide.scorers.build import serve_part
from homeostat.embedded.assembly import Prepared
from homeostat.models.bundle import Bundle
from homeostat.models.training_set import FusionTask, Progress, ScorerTask, TrainingSet
from homeostat.records.arrays import Float
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.parts import Part

FOLDS = 2  # Fitting the fusion needs scores of rows left out; more folds cost time and earned nothing measurable.


@dataclass(slots=True)
class Collector:
    """Gathers the events to learn from, with the features that were served and the outcomes known by the moment.

    from_ns, until_ns : learn at `until_ns` from events since `from_ns`
    delay_ns : when a label that came along with its event counts as known
    """

    from_ns: int | None
    until_ns: int
    delay_ns: int
    _parts: list[tuple[EventBatch, Features, Float]] = field(default_factory=list)

    def add(self, events: EventBatch, features: Features, known: Float | None = None) -> None:
        """Take a batch in. `known` (n,): labels known at `until_ns`, where a file of outcomes says so."""
        if known is None:
            known = np.where(events.time_ns + self.delay_ns <= self.until_ns, events.label, np.nan)
        rows = ~np.isnan(known)
        if self.from_ns is not None:
            rows &= events.time_ns >= self.from_ns
        if rows.any():
            kept = Features(features.names, features.values[rows], features.freshness[:0])
            self._parts.append((_rows(events, rows), kept, known[rows]))

    def training_set(self) -> TrainingSet:
        """All that was gathered, in order of arrival. Raises ValueError where there is nothing to learn from."""
        if not self._parts:
            raise ValueError(
                "no event in the training window has a known outcome: train on a longer window, or check that the "
                "outcomes' ids and times fit the events"
            )
        events, features, labels = zip(*self._parts, strict=True)
        return TrainingSet(
            features[0].names,
            np.concatenate([part.values for part in features]),
            np.concatenate(labels),
            np.concatenate([part.time_ns for part in events]),
            np.concatenate([part.id_code for part in events]),
            np.concatenate([part.keys[:, 0] if part.keys.shape[1] else part.id_code for part in events]),
        )


def _rows(events: EventBatch, rows: np.ndarray) -> EventBatch:
    return EventBatch(
        events.id_code[rows], events.time_ns[rows], events.keys[rows], events.numbers[rows][:, :0], events.label[rows],
        events.kind[rows], {},
    )  # fmt: skip


def train(
    prepared: Prepared,
    collector: Collector,
    progress: Progress,
    seed: int | None = None,
    ppo: Mapping[str, int] | None = None,
    rows: TrainingSet | None = None,
) -> Bundle:
    """A bundle of everything that the app trains. Raises what the trainers raise where the extra is missing.

    ppo : train a PPO policy too, with these settings; without them, only where the app's policy is one
    rows : what to learn from, where the collector has not the features themselves
    """
    from homeostat.models.training.bundles import train_bundle

    app, rows = prepared.app, collector.training_set() if rows is None else rows
    chosen = app.seed if seed is None else seed
    policies: dict[str, Part] = {}

    def train_policy_too(names: tuple[str, ...], scores: Float, fused: Part) -> None:
        from homeostat.embedded.policy_training import PART, train_policy

        progress("policy", 0.4)
        policies[PART] = train_policy(
            prepared, rows, names, scores, fused, chosen, {**ppo_settings(app), **(ppo or {})}
        )

    tasks = [
        ScorerTask(name, spec.kind, spec.features, spec.settings)
        for name, spec in app.scorers.items()
        if spec.kind in TRAINED
    ]

    def serve(name: str, part: Part, features: tuple[str, ...]) -> Scorer:
        return serve_part(name, part, features)

    weights = tuple(app.fusion.weights.get(name, 1.0) for name in (*(t.name for t in tasks), *ready_names(prepared)))
    fusion = FusionTask(app.fusion.kind, {"weights": weights} if app.fusion.kind == "weighted" else {})
    bundle = train_bundle(
        rows,
        tasks,
        fusion,
        serve,
        app=app.app,
        ready=ready_scorers(app, prepared.features),
        seed=chosen,
        folds=FOLDS,
        about={"trained_at_ns": collector.until_ns},
        progress=progress,
        left_out=train_policy_too if ppo is not None or app.policy.kind == "ppo" else None,
    )
    return replace(bundle, parts={**bundle.parts, **policies})


def ready_names(prepared: Prepared) -> tuple[str, ...]:
    """The scorers that need no training, in the order in which the fusion sees them."""
    return tuple(ready_scorers(prepared.app, prepared.features))
