"""From recorded events to a trained bundle, through the very windows that serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from homeostat.app import TRAINED, binds_thresholds, costs_of, ppo_settings, ready_scorers, require_scorers
from homeostat.config.definitions import feature_definitions
from homeostat.config.plans import group_name, selected_actions
from homeostat.config.scalars import duration_text
from homeostat.config.tree import App
from homeostat.decide.contracts import Scorer
from homeostat.decide.fusion.ensemble import serve_fusion
from homeostat.decide.scorers.build import serve_part
from homeostat.engine.assembly import Prepared
from homeostat.models.bundle import Bundle
from homeostat.models.maturity import Matured, Maturity, base_rate_jump, matured
from homeostat.models.training_set import (
    UNSUPERVISED,
    FusionTask,
    NothingToLearn,
    Progress,
    ScorerTask,
    TrainingSet,
)
from homeostat.records.arrays import Float, Int
from homeostat.records.decisions import Scores
from homeostat.records.events import EventBatch
from homeostat.records.features import Features
from homeostat.records.identity import ABSENT
from homeostat.records.parts import Part

FOLDS = 2  # Fitting the fusion needs scores of rows left out; more folds cost time and earned nothing measurable.
_APART = 0x5851F42D4C957F2D  # Keeps the keys of one entity from being taken for those of another.


def teaches(app: App, apart: bool) -> Maturity:
    """When an event of the app teaches.

    apart : outcomes come apart from their events, each at its time; otherwise labels come along with them. Those are
        known after `outcomes.delay`, good or bad, unless silence is what says that all was well.
    """
    outcomes = app.outcomes
    silence_negative = outcomes.unknown == "negative"
    waits = apart or silence_negative or outcomes.maturity is not None
    return Maturity(outcomes.matures if waits else outcomes.delay, silence_negative)


def final(app: App, apart: bool) -> Maturity:
    """When a recorded event counts in a figure: as in `teaches`, but a label that came along is final."""
    waits = apart or app.outcomes.unknown == "negative"
    return Maturity(app.outcomes.matures if waits else 0, app.outcomes.unknown == "negative")


def needs_outcomes(app: App) -> bool:
    """Whether anything that the app trains learns from outcomes: an isolation forest with declared weights does not."""
    kinds = [spec.kind for spec in app.scorers.values() if spec.kind in TRAINED and spec.kind not in UNSUPERVISED]
    return (
        bool(kinds)
        or {app.fusion.kind, *app.fusion.trained_too} != {"weighted"}
        or app.policy.kind == "ppo"
        or binds_thresholds(app)
    )


def groups_of(events: EventBatch) -> Int:
    """(n,) a code of whom each event is of: the first of its entities that it names; by itself, where it names none."""
    group: Int = events.id_code
    for place in reversed(range(events.keys.shape[1])):
        key = events.keys[:, place]
        code = key if place == 0 else key ^ np.int64(_APART * place & (1 << 62) - 1)
        group = np.where(key == ABSENT, group, code)
    return group


def people_of(app: App) -> Callable[[EventBatch], Float] | None:
    """`TrainingSet.people` of an app whose fairness binds the thresholds; None for others."""
    fair, costs = app.fairness, costs_of(app)
    if fair is None or costs is None or not binds_thresholds(app):
        return None
    column = list(app.events.fields).index(fair.groups)
    selecting = np.array([action in selected_actions(app) for action in app.actions])

    def people(events: EventBatch) -> Float:
        positive, negative = costs(events)
        if_negative = negative[:, selecting].min(axis=1) - negative[:, ~selecting].min(axis=1)
        if_positive = positive[:, ~selecting].min(axis=1) - positive[:, selecting].min(axis=1)
        return np.stack([events.numbers[:, column], if_negative, if_positive], axis=1)

    return people


@dataclass(slots=True)
class Collector:
    """Gathers the events to learn from, with the features that were served and the outcomes known by the moment.

    from_ns, until_ns : learn at `until_ns` from events since `from_ns`
    delay_ns : when a label that came along with its event counts as known
    maturity : which events are old enough to teach
    outcomes : whether anything learns from them; if not, events without any are gathered too
    people : see `TrainingSet.people`, of a batch of events
    """

    from_ns: int | None
    until_ns: int
    delay_ns: int
    maturity: Maturity
    outcomes: bool = True
    people: Callable[[EventBatch], Float] | None = None
    result: Matured | None = None
    _people: list[Float] = field(default_factory=list)
    _parts: list[tuple[EventBatch, Features]] = field(default_factory=list)
    _all: list[tuple[Int, Float, np.ndarray, np.ndarray]] = field(default_factory=list)
    _texts: dict[float, str] = field(default_factory=dict)

    @classmethod
    def of(cls, app: App, from_ns: int | None, until_ns: int, apart: bool) -> Collector:
        """For an app; `apart` as in `teaches`."""
        return cls(from_ns, until_ns, app.outcomes.delay, teaches(app, apart), needs_outcomes(app), people_of(app))

    def add(
        self, events: EventBatch, features: Features, known: Float | None = None, censored: np.ndarray | None = None
    ) -> None:
        """Take a batch in.

        known : (n,) labels known at `until_ns`, where a file of outcomes says so
        censored : (n,) whether an event's outcome could not be seen, where a file of decisions says so
        """
        if known is None:
            known = np.where(events.time_ns + self.delay_ns <= self.until_ns, events.label, np.nan)
        censored = np.zeros(len(events), bool) if censored is None else censored
        asked = np.ones(len(events), bool) if self.from_ns is None else events.time_ns >= self.from_ns
        silent = self.maturity.silence_negative & ~censored & (events.time_ns <= self.until_ns - self.maturity.age_ns)
        rows = asked & (~np.isnan(known) | silent | (not self.outcomes))
        self._all.append((events.time_ns[asked], known[asked], rows[asked], censored[asked]))
        if rows.any():
            self._texts.update(events.category_texts)
            kept = Features(features.names, features.values[rows], features.freshness[:0])
            self._parts.append((_rows(events, rows), kept))
            if self.people is not None:
                self._people.append(self.people(events)[rows])

    @property
    def labelled(self) -> bool:
        """Whether any outcome was known of what was gathered."""
        return any(bool((~np.isnan(known)).any()) for _, known, _, _ in self._all)

    def training_set(self) -> TrainingSet:
        """The gathered rows that teach, in order of arrival; `result` then says what was left out.

        Raises NothingToLearn, with what is missing.
        """
        if not self._all:
            raise NothingToLearn("no event lies in the training window: check the times, and the events' file")
        time_ns, known, kept, censored = (np.concatenate(column) for column in zip(*self._all, strict=True))
        self.result = found = matured(time_ns, known, self.until_ns, self.maturity, censored)
        rows = ~np.isnan(found.label)
        label = found.label
        if not self.outcomes and not 0 < np.nansum(label) < np.count_nonzero(rows):
            rows, label = np.ones(len(rows), bool), np.full(len(rows), np.nan)
            self.result = Matured(label, 0, 0, 0)  # Every event teaches, as nothing learns from outcomes.
        else:
            self._check(found, len(rows), int(np.count_nonzero(rows)), int(np.nansum(label)))
        chosen = rows[kept]  # Of the rows whose features were gathered.
        events, features = zip(*self._parts, strict=True)
        return TrainingSet(
            features[0].names,
            np.concatenate([part.values for part in features])[chosen],
            label[rows],
            time_ns[rows],
            np.concatenate([part.id_code for part in events])[chosen],
            np.concatenate([groups_of(part) for part in events])[chosen],
            texts=self._texts,
            people=np.concatenate(self._people)[chosen] if self._people else None,
        )

    def _check(self, found: Matured, events: int, rows: int, positives: int) -> None:
        """Raise NothingToLearn where only one kind of outcome is there to learn from, or none."""
        if 0 < positives < rows:
            return
        age = duration_text(self.maturity.age_ns)
        young = (
            f"; {found.young:,} of {events:,} events are younger than {age}, the age at which good and bad outcomes "
            "are both known (outcomes.maturity, or else outcomes.horizon): learn at a later moment, or declare the age"
        )
        if rows == 0:
            why = "no event in the training window has a known outcome and is old enough to teach"
            hint = (
                ""
                if found.young
                else (
                    ": check that the outcomes' ids and times fit the events (without outcomes, "
                    f"{' and '.join(UNSUPERVISED)} alone can be trained, with `fusion: {{kind: weighted}}`)"
                )
            )
        elif positives == rows:
            why, hint = f"all {rows:,} events that teach are positive, and learning takes both kinds", ""
            if not self.maturity.silence_negative:
                hint = ": if silence means that all was well, declare `outcomes: {unknown: negative}`"
        else:
            why, hint = f"none of the {rows:,} events that teach is positive, and learning takes both kinds", ""
        raise NothingToLearn(why + hint + (young if found.young else ""))

    def left_out(self) -> dict[str, Any]:
        """How many events taught nothing, and why; for reports, once `training_set` was called."""
        assert self.result is not None
        return {
            "age": duration_text(self.maturity.age_ns),
            "too_young": self.result.young,
            "positives_too_young": self.result.young_positives,
            "without_outcome": self.result.silent,
            "censored": self.result.censored,
        }


def _rows(events: EventBatch, rows: np.ndarray) -> EventBatch:
    return replace(events, numbers=events.numbers[:, :0], texts={}).rows(rows)


def warnings_of(rows: TrainingSet) -> list[str]:
    """Sentences about rows that look as if they should not be learned from."""
    jump = base_rate_jump(rows.time_ns, rows.y) if rows.labelled else None
    if jump is None:
        return []
    return [
        f"{jump.newest:.2%} of the events of the newest {duration_text(jump.span_ns)} are positive, and "
        f"{jump.before:.2%} of those before: unless the world changed, some outcomes were not known yet, and a greater "
        "outcomes.maturity leaves such events out"
    ]


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

    require_scorers(prepared.app)
    app, rows = prepared.app, collector.training_set() if rows is None else rows
    rows = replace(rows, categories=prepared.features.categories)
    chosen = app.seed if seed is None else seed
    policies: dict[str, Part] = {}
    wants_policy = ppo is not None or app.policy.kind == "ppo"

    def train_policy_too(names: tuple[str, ...], scores: Float, fused: Part) -> None:
        from homeostat.jobs.policy_training import PART, train_policy

        if binds_thresholds(app):
            policies["fairness"] = _group_thresholds(prepared, rows, names, scores, fused)
        if not wants_policy:
            return
        progress("policy", 0.4)
        policies[PART] = train_policy(
            prepared, rows, names, scores, fused, chosen, {**ppo_settings(app), **(ppo or {})}
        )

    ready = ready_scorers(app, prepared.features)
    tasks, fusion = trained_tasks(app, tuple(ready))

    def serve(name: str, part: Part, features: tuple[str, ...]) -> Scorer:
        return serve_part(name, part, features, prepared.coding.category)

    bundle = train_bundle(
        rows,
        tasks,
        fusion,
        serve,
        app=app.app,
        ready=ready,
        seed=chosen,
        folds=FOLDS,
        group=next(iter(app.events.entities), "event"),
        about={"trained_at_ns": collector.until_ns, **_binding(app)},
        progress=progress,
        left_out=train_policy_too if wants_policy or binds_thresholds(app) else None,
    )
    return replace(bundle, parts={**bundle.parts, **policies}, definitions=feature_definitions(app))


def _binding(app: App) -> dict[str, Any]:
    """That bounds of fairness bind: a version carries it along, so that no road of promotion passes them by."""
    fair = app.fairness
    return {} if fair is None or fair.binds is None else {"fairness": {"binds": fair.binds, "groups": fair.groups}}


def served_risk(names: tuple[str, ...], scores: Float, fusion: Part) -> Float:
    """(n,) the risk of these scores (n, scorers), bit for bit as it is served: thresholds may lie exactly on one."""
    present = np.isfinite(scores)
    said = Scores(names, scores, present.astype(np.float64), np.zeros(len(scores), np.uint8))
    return serve_fusion(fusion, names).fuse(said).risk


def _group_thresholds(
    prepared: Prepared, rows: TrainingSet, names: tuple[str, ...], scores: Float, fusion: Part
) -> Part:
    """The rules by group, from the risk that the fusion makes of scores of rows left out."""
    from homeostat.models.training.group_thresholds import train_group_thresholds

    app, fair = prepared.app, prepared.app.fairness
    assert fair is not None
    found = train_group_thresholds(
        rows, served_risk(names, scores, fusion), lambda value: group_name(app, value, rows.texts),
        {bound.measure for bound in fair.bounds}, fair.persons_min, fair.groups,
    )  # fmt: skip
    return replace(found, settings={**found.settings, "selected": list(selected_actions(app))})


def trained_tasks(app: App, ready: tuple[str, ...]) -> tuple[list[ScorerTask], FusionTask]:
    """The scorers that are trained, and how their scores are fused with those that need no training.

    ready : these, in the order in which the fusion sees them
    """
    tasks = [
        ScorerTask(name, spec.kind, spec.features, spec.settings)
        for name, spec in app.scorers.items()
        if spec.kind in TRAINED
    ]
    weights = tuple(app.fusion.weights.get(name, 1.0) for name in (*(task.name for task in tasks), *ready))
    return tasks, FusionTask(app.fusion.kind, {"weights": weights}, app.fusion.members, app.fusion.trained_too)
