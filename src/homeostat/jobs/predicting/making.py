"""Journalled decisions become predictions, with what moved each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from homeostat.adapters.process.clock import SystemClock
from homeostat.app import Ports, brain, build
from homeostat.config.predictions import Target
from homeostat.config.tree import App
from homeostat.decide.explanation import shares
from homeostat.decide.stages import Stages
from homeostat.engine.assembly import Prepared, bundle_of
from homeostat.errors import HomeostatError
from homeostat.ports import NamedJournal
from homeostat.records.arrays import Float
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import Row
from homeostat.records.identity import ABSENT, text_of
from homeostat.records.predictions import Prediction
from homeostat.records.rows import decisions_at

_AGAIN_NS = 60 * 10**9
FindsBundle = Callable[[], Path | None]
"""Where the bundle is that decides now; None for the shipped one."""


class Models:
    """The models that explain: those of the version that made a decision, loaded again when another one decides."""

    def __init__(self, prepared: Prepared, journal: NamedJournal, find: FindsBundle) -> None:
        self._prepared, self._journal, self._find = prepared, journal, find
        self._clock, self._opened = SystemClock(), ExitStack()
        self._stages: Stages | None = None
        self._tried_ns: int | None = None
        self.features = prepared.features.names

    def of(self, version: str) -> Stages | None:
        """The stages of a version; None where they can't be had, such as those of a version long gone."""
        if self._stages is None or self._stages.version != version:
            now_ns = self._clock.monotonic_ns()
            if self._tried_ns is None or now_ns - self._tried_ns > _AGAIN_NS:
                self._tried_ns = now_ns
                self._load()
        return self._stages if self._stages is not None and self._stages.version == version else None

    def close(self) -> None:
        """Let go of the models."""
        self._opened.close()
        self._stages = None

    def _load(self) -> None:
        self.close()
        prepared = self._prepared.keyed(self._journal.coding)
        try:
            ready = brain(prepared.app, prepared.features, bundle_of(prepared, self._find()))
            ports = Ports(self._journal, self._clock, prepared.coding, bounded=False)
            loop = build(prepared.app, prepared.features, ready, ports)
        except HomeostatError:  # Predictions without contributions by feature are better than none.
            return
        self._opened.callback(loop.close)
        self._stages = loop.stages


def predictions_of(
    decisions: DecisionBatch, rows: slice, app: App, target: Target, models: Models
) -> Iterator[Prediction]:
    """The predictions of some rows, those that the target gets."""
    part = decisions_at(decisions, rows)
    flags = np.array([_is_flag(part.words.action(action), app, target) for action in part.ruling.action.tolist()], bool)
    wanted = (part.events.kind != Row.OUTCOME) & (flags | target.sends_all)
    part, flags = decisions_at(part, wanted), flags[wanted]
    events, words = part.events, part.words
    entities = [(column, name) for column, (name, of) in enumerate(words.entities) if not of]
    moved = _moved(part, models, target.contributions)
    for row in range(len(part)):
        keys = tuple(
            (name, text_of(events.keys.item(row, column), events.key_checks.item(row, column), events.texts))
            for column, name in entities
            if events.keys.item(row, column) != ABSENT
        )
        yield Prediction(
            app.app, events.id_text(row), events.time_ns.item(row), keys, part.fused.risk.item(row), bool(flags[row]),
            words.action(part.ruling.action.item(row)), round(part.took_us, 1), moved(row), part.made_by(row),
        )  # fmt: skip


def _is_flag(action: str, app: App, target: Target) -> bool:
    return action in target.flag if target.flag else action != app.actions[0]


def _moved(part: DecisionBatch, models: Models, most: int) -> Callable[[int], dict[str, float]]:
    """Gives the largest contributions of a row: by feature where its version's models are here, else by scorer."""
    if not most:
        return lambda row: {}
    stages = models.of(part.version)
    names = part.scores.names
    values: Float = part.fused.contributions
    by_feature = stages is not None and part.features.names == models.features and names == stages.panel.names
    if by_feature and stages is not None:
        features, scorers = shares(stages, part)
        names, values = (*part.features.names, *names), np.hstack([features, scorers])
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :most]

    def of_row(row: int) -> dict[str, float]:
        by_canary = part.arm is not None and bool(part.arm[row])
        if by_canary and by_feature:  # Other models decided than those that are here.
            own = dict(zip(part.scores.names, part.fused.contributions[row].tolist(), strict=True))
            return {name: value for name, value in own.items() if value != 0.0}
        return {names[k]: values.item(row, k) for k in order[row].tolist() if values[row, k] != 0.0}

    return of_row
