"""Trains versions in a run: a real training on the rows that the run knows, in simulated time.

The recipe is smaller than that of `homeostat train`, so that hundreds of runs can pay for it: the first version's
boosted trees get more trees, and the fusion is fitted again. The other scorers stay those of the first version. An app
without boosted trees has all of its scorers trained again. Events of a share of the entities are left out, so that the
version can be held against the champion at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from homeostat.app import brain, ready_scorers
from homeostat.config.definitions import feature_definitions
from homeostat.decide.contracts import Scorer
from homeostat.decide.scorers.build import serve_part
from homeostat.engine.assembly import fitting_bundle
from homeostat.errors import Conflict, HomeostatError
from homeostat.jobs.compared import seen_among
from homeostat.jobs.drill.deciding import Deciding
from homeostat.jobs.recent import RecentColumns
from homeostat.jobs.training import FOLDS, trained_tasks
from homeostat.models.bundle import Bundle, save_bundle
from homeostat.models.training.bundles import train_bundle
from homeostat.models.training_set import NothingToLearn, TrainingSet
from homeostat.ports.recent import Recent
from homeostat.records.arrays import Float, Mask
from homeostat.records.events import EventBatch
from homeostat.records.library import Ended, KeptVersion
from homeostat.sim.faults.traffic import HOUR_NS
from homeostat.stats.chance import uniform
from homeostat.stats.held_out import held_out

TAKES_NS = 4 * HOUR_NS
"""From the beginning of a training until its version can decide. On a live app, that of payments takes minutes."""
RECIPE = {"trees": 60, "depth": 4, "rate": 0.1, "rows": 0.7, "columns": 0.5, "l2": 5, "leaf_weight_min": 3}
"""Of the trees that are added. It was chosen on seeds below 100, by what decisions of the days after would cost."""
HELD_OUT = 0.4
_TREES = "boosted_trees"


@dataclass(frozen=True, slots=True)
class _Training:
    """A training: when it began, and its end, which nobody knows before it is over."""

    begun_ns: int
    ended: Ended
    taught_ns: int


class DrillWork:
    """The jobs of a run; a `maintain.act.executor.Work`.

    deciding : the run; recent : what it has decided
    """

    def __init__(self, deciding: Deciding, recent: RecentColumns) -> None:
        self._deciding, self._recent = deciding, recent
        self._done: dict[str, _Training] = {}

    def begin(self, kind: str, request: Mapping[str, Any], key: str) -> str:
        """See `Work`. It is done at once, and over in `TAKES_NS`."""
        if kind != "train":
            raise Conflict(f"no job of a drill does {kind}")
        if key not in self._done:
            now_ns = self._deciding.now_ns
            try:
                bundle, taught_ns = trained(self._deciding, self._recent.until(now_ns))
                self._deciding.acting.trained[bundle.version] = self._served(bundle)
                ended = Ended(bundle.version, f"version {bundle.version} was trained on {bundle.about['rows']:,} rows")
            except HomeostatError as error:
                ended, taught_ns = Ended("", str(error)), 0
            self._done[key] = _Training(now_ns, ended, taught_ns)
        return key

    def _served(self, bundle: Bundle) -> Any:
        prepared = self._deciding.drill.prepared
        return brain(prepared.app, prepared.features, bundle), bundle

    def ended(self, job: str, key: str) -> Ended | None:
        """See `Work`; a job has the name of its key."""
        one = self._done[key]
        return one.ended if self._deciding.now_ns >= one.begun_ns + TAKES_NS else None

    def cancel(self, job: str, key: str) -> None:
        """See `Work`: a training that is over changes nothing by itself."""

    def versions(self) -> list[KeptVersion]:
        """The first version, and those that are trained by now."""
        now_ns = self._deciding.now_ns
        over = [one for one in self._done.values() if one.ended.version and now_ns >= one.begun_ns + TAKES_NS]
        return [
            KeptVersion(""),
            *(KeptVersion(one.ended.version, one.begun_ns, one.taught_ns, HELD_OUT) for one in over),
        ]


def trained(deciding: Deciding, recent: Recent) -> tuple[Bundle, int]:
    """A bundle that has learned from what a run knows, and until when. Raises NothingToLearn."""
    drill = deciding.drill
    prepared, app = drill.prepared, drill.prepared.app
    quarantine = deciding.loop.stages.quarantine
    withheld = np.zeros(len(recent), np.bool_) if quarantine is None else quarantine.holds(events_of(recent))
    rows = taught(recent, withheld, app.outcomes.censoring, deciding.seed)
    rows = replace(rows, categories=prepared.features.categories, texts=recent.texts)
    names = [name for name, spec in app.scorers.items() if spec.kind == _TREES]
    first = dict(zip(app.scorers, drill.first_brain.scorers, strict=True))
    kept: dict[str, Scorer] = {name: one for name, one in first.items() if name not in names} if names else {}
    ready = kept or ready_scorers(app, prepared.features)
    tasks, fusion = trained_tasks(app, tuple(ready))
    if names:
        tasks = [replace(one, settings=RECIPE) for one in tasks if one.name in names]
        fusion = replace(
            fusion, settings={"weights": tuple(app.fusion.weights.get(one, 1.0) for one in (*names, *ready))}
        )
    old = {} if drill.bundle is None else drill.bundle.parts
    made = train_bundle(
        rows, tasks, fusion, lambda name, part, features: serve_part(name, part, features, prepared.coding.category),
        app=app.app, ready=ready, seed=app.seed, folds=FOLDS,
        start={name: old[f"scorer.{name}"] for name in names},
    )  # fmt: skip
    before = {name: part for name, part in old.items() if name.partition(".")[2] in kept or name.startswith("policy.")}
    parts = {**before, **made.parts}
    whole = replace(made, parts=parts, definitions=feature_definitions(app))
    with TemporaryDirectory(prefix="homeostat-drill-") as folder:  # Read back as in service.
        save_bundle(whole, Path(folder) / "bundle")
        return fitting_bundle(Path(folder) / "bundle", prepared), int(rows.time_ns.max())


def taught(recent: Recent, withheld: Mask, censoring: Sequence[str], seed: int) -> TrainingSet:
    """The rows that teach, see `TrainingSet`.

    withheld : (n,) those in a quarantine
    Of events so young that not all positives are known, known positives teach. Of the others as large a share does as
    of positives is known at that age, so that the share of positives is right. Raises NothingToLearn.
    """
    censored = np.isin(recent.action, [at for at, name in enumerate(recent.actions) if name in censoring])
    age, delay = recent.now_ns - recent.time_ns, recent.known_ns - recent.time_ns
    rows = np.arange(len(recent))
    seen = seen_among(age, recent.label, delay, censored, recent.matures_ns, rows)
    if seen is None:
        raise NothingToLearn("too few outcomes are known to say when positives become known")
    positive = recent.label == 1.0
    drawn = uniform(seed, recent.id_code, 401) < np.where(age >= recent.matures_ns, 1.0, seen)
    withheld = withheld | held_out(recent.keys, HELD_OUT)
    chosen = np.flatnonzero(~withheld & ~censored & (positive | drawn))
    group = recent.keys[chosen, 0] if recent.keys.shape[1] else recent.id_code[chosen]
    return TrainingSet(
        recent.features, recent.served[chosen].astype(np.float64), positive[chosen].astype(np.float64),
        recent.time_ns[chosen], recent.id_code[chosen], group,
    )  # fmt: skip


def events_of(recent: Recent) -> EventBatch:
    """Recent traffic as events, as far as conditions ask."""
    n = len(recent)
    unknown: Float = np.full(n, np.nan)
    return EventBatch(recent.id_code, recent.time_ns, recent.keys, recent.numbers, unknown, np.zeros(n, np.uint8))
