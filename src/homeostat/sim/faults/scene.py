"""The setting of one run: the app's form, the calendar of the run, and the chance that its faults draw from."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homeostat.config.tree import App
from homeostat.records.arrays import Float, Int
from homeostat.sim.faults.traffic import DAY_NS, HOUR_NS, Traffic, varied
from homeostat.stats.chance import uniform

NEW_IDS, NEW_KEYS = 1 << 40, 1 << 30
"""The ids and keys from which on those that faults make are counted; a world's own are below."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The times of a run.

    start_ns : midnight of day 0
    warm_days, past_days : before it. Windows fill first, then decisions are made quietly, from which monitors learn
    days : of the run itself
    """

    start_ns: int
    warm_days: int
    past_days: int
    days: int

    def day(self, number: float) -> int:
        """The moment at which so many days of the run are over."""
        return self.start_ns + int(number * DAY_NS)

    @property
    def begin_ns(self) -> int:
        """The first moment of which anything is known."""
        return self.day(-self.warm_days - self.past_days)

    @property
    def past_ns(self) -> int:
        """The moment from which on events are decided."""
        return self.day(-self.past_days)

    @property
    def end_ns(self) -> int:
        """The horizon."""
        return self.day(self.days)


@dataclass(frozen=True, slots=True)
class Form:
    """The facts about an app that faults need.

    entities : that are read; fields and kinds : in the order of `Traffic.numbers`
    required : (fields) whether a value must be there
    most : (fields) the largest value that the app takes, NaN for any
    features : the computed features that a scorer reads; all where none says which
    delay_ns : how long after its event a negative outcome is known
    early_ns : how long after it a positive one is known at the earliest
    """

    app: App
    entities: tuple[str, ...]
    fields: tuple[str, ...]
    kinds: tuple[str, ...]
    required: tuple[bool, ...]
    most: tuple[float, ...]
    features: tuple[str, ...]
    delay_ns: int
    early_ns: int

    def columns(self, *kinds: str) -> list[int]:
        """The columns of the fields of these kinds."""
        return [column for column, kind in enumerate(self.kinds) if kind in kinds]

    @property
    def numeric(self) -> list[int]:
        """The columns of numbers and integers."""
        return self.columns("number", "integer")


def form_of(app: App) -> Form:
    """The form of an app. Outcomes come within the age at which the app takes them for mature, 14 days at most.

    >>> from homeostat.config.load import load_app
    >>> form_of(load_app("payments")).fields
    ('amount',)
    """
    fields = app.events.fields
    names = [name for name, entity in app.events.entities.items() if getattr(entity, "of", None) is None]
    delay_ns = app.outcomes.delay or min(app.outcomes.matures, 14 * DAY_NS)
    if app.outcomes.maturity is None and app.outcomes.delay == 0:
        delay_ns = HOUR_NS  # An app that waits for nothing has its outcomes soon.
    return Form(
        app, tuple(names), tuple(fields), tuple(one.type for one in fields.values()),
        tuple(one.required for one in fields.values()),
        tuple(np.nan if one.max is None else float(one.max) for one in fields.values()), _features(app),
        delay_ns, min(DAY_NS, delay_ns // 2),
    )  # fmt: skip


def _features(app: App) -> tuple[str, ...]:
    names = [
        name.replace("{length}", length)
        for group in app.features.windows for length in group.lengths for name in group.compute
    ]  # fmt: skip
    names += list(app.features.derived)
    read = " ".join(
        text for spec in app.scorers.values() for text in (*(spec.features or ()), *(rule.when for rule in spec.rules))
    )
    words = set(re.findall(r"\w+", read))
    return tuple(dict.fromkeys(one for one in names if one in words)) or tuple(names)


@dataclass(slots=True)
class Scene:
    """One run's setting. Each fault of a run has a scene of its own, so that one draws nothing from another's chance.

    onset_ns : when the fault begins
    severity : 1, 2 or 3
    number, column : of the number and of the field that the fault is at; -1 where the app has none
    feature : the feature that it is at; empty where the app has none
    """

    form: Form
    frame: Frame
    onset_ns: int
    severity: int
    seed: int
    rng: np.random.Generator
    number: int
    column: int
    feature: str = ""
    first_id: int = NEW_IDS

    @classmethod
    def drawn(
        cls, form: Form, frame: Frame, onset_ns: int, severity: int, seed: int, entropy: list[int], part: int = 0
    ) -> Scene:
        """A scene whose chance follows from whole numbers; those of other parts of a run have other ids."""
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
        numeric, fields = form.numeric, len(form.fields)
        number = numeric[int(rng.integers(len(numeric)))] if numeric else -1
        column = int(rng.integers(fields)) if fields else -1
        feature = form.features[int(rng.integers(len(form.features)))] if form.features else ""
        return cls(form, frame, onset_ns, severity, seed, rng, number, column, feature, NEW_IDS * (1 + part))

    def node(self, column: int) -> str:
        """The node of a field."""
        return f"field:{self.form.fields[column]}"

    def by_severity(self, *sizes: float) -> float:
        """The size that belongs to the severity."""
        return sizes[self.severity - 1]

    def delays(self, traffic: Traffic) -> Int:
        """(n,) how long after its event each would be known as a positive."""
        drawn = uniform(self.seed + 17, traffic.id, 31)
        early, late = self.form.early_ns, self.form.delay_ns
        found: Int = (early + drawn * (late - early)).astype(np.int64)
        return found

    def among_sources(self, traffic: Traffic, share: float) -> NDArray[np.bool_]:
        """(n,) whether an event comes from one of the sources that the fault is at: a share of the last entity's keys.

        An app without entities has one source, and then a share of its events is meant.
        """
        code = traffic.keys[:, -1] if traffic.keys.shape[1] else traffic.id
        found: NDArray[np.bool_] = uniform(self.seed, code, 37) < share
        return found

    def of_entities(self, traffic: Traffic, share: float, stream: int) -> NDArray[np.bool_]:
        """(n,) whether an event is of a share of the first entity's keys."""
        code = traffic.keys[:, 0] if traffic.keys.shape[1] else traffic.id
        found: NDArray[np.bool_] = uniform(self.seed, code, stream) < share
        return found

    def ramp(self, moment_ns: Int, days: float) -> Float:
        """(n,) how far a change that takes so many days is, from 0 to 1."""
        return np.clip((moment_ns - self.onset_ns) / (days * DAY_NS), 0.0, 1.0)

    def varied(self, traffic: Traffic, by: float = 1.0) -> Traffic:
        """Copies that are no repetitions: each number is a little otherwise, and times `by` on average."""
        return varied(traffic, self.form.numeric, self.form.kinds, self.form.most, by, self.rng)

    def new_ids(self, count: int) -> int:
        """The first of so many ids that nothing else has."""
        first = self.first_id
        self.first_id += count
        return first

    def donors(self, traffic: Traffic, count: int) -> Int:
        """Rows of the quiet past, drawn at random."""
        return self.rng.integers(0, max(1, traffic.since(self.frame.start_ns)), count)
