"""Stand-ins that the drill puts in a loop: parts that fail as parts do in life, and a clock that does not run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from homeostat.decide.contracts import Featurizer, Scorer
from homeostat.expressions import Membership
from homeostat.ports import Entry
from homeostat.records.arrays import Float, Mask, State
from homeostat.records.bodies import Body
from homeostat.records.decisions import DecisionBatch
from homeostat.records.events import EventBatch
from homeostat.records.features import Features, Freshness
from homeostat.records.identity import Identity, Ids
from homeostat.records.reasons import Fallback
from homeostat.stats.chance import finalise


class StandingClock:
    """A clock that says what it is set to, so that two runs are the same to the byte."""

    def __init__(self) -> None:
        self.set_ns = 0

    def now_ns(self) -> int:
        """The time that it is set to."""
        return self.set_ns

    def monotonic_ns(self) -> int:
        """The same: nothing takes time."""
        return self.set_ns


class PassingJournal:
    """A journal that hands on what it is given and keeps nothing. Ids of a drill are unique, so none was seen."""

    def __init__(self) -> None:
        self.taken: list[Body] = []

    def append(self, body: Body) -> int:
        """Take an entry; `taken` has it until someone empties it."""
        self.taken.append(body)
        return 1

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Nothing is kept."""
        return iter(())

    def seen(self, ids: Ids) -> Mask:
        """(n,) no id was seen."""
        return np.zeros(len(ids), np.bool_)

    def find(self, event_id: Identity) -> tuple[DecisionBatch, int] | None:
        """Nothing is found."""
        return None

    def find_all(self, ids: Ids) -> list[tuple[DecisionBatch, int] | None]:
        """Nothing is found."""
        return [None] * len(ids)


class ServedFeatures:
    """A featurizer between the windows and the scorers: features may be served otherwise than they are computed.

    names : of the app's features; fields : how many of them are the event's own fields
    factor : by column, of what is served
    away : whether the store is away, so that only the event's own fields are there
    computed : the last batch as it was computed, where that was not what was served
    """

    def __init__(self, inner: Featurizer, names: tuple[str, ...], fields: int) -> None:
        self.inner, self.names, self.fields = inner, names, fields
        self.factor: dict[int, float] = {}
        self.away = False
        self.computed: Features | None = None

    def features(self, events: EventBatch) -> Features:
        """The features as they are served."""
        made = self.inner.features(events)
        self.computed = None
        if self.away:
            values, freshness = made.values.copy(), made.freshness.copy()
            values[:, self.fields :] = np.nan
            freshness[:, self.fields :] = Freshness.ABSENT
            return Features(made.names, values, freshness, made.fallback | Fallback.FEATURES_ABSENT)
        if not self.factor:
            return made
        self.computed, values = made, made.values.copy()
        for column, factor in self.factor.items():
            values[:, column] = values[:, column] * factor + (factor - 1.0)
        return Features(made.names, values, made.freshness, made.fallback)

    def read_lists(self, lists: Membership) -> None:
        """See `contracts.ReadsLists`."""
        self.inner.read_lists(lists)  # type: ignore[attr-defined]

    def state(self) -> State:
        """The windows' own."""
        return self.inner.state()

    def restore(self, state: State) -> None:
        """Go on from there."""
        self.inner.restore(state)


class WorseScorer:
    """A scorer that gives a share of the events the scores of others: as many high ones as ever, at the wrong places.

    noise : that share
    """

    def __init__(self, inner: Scorer, noise: float) -> None:
        self.inner, self.name, self.noise = inner, inner.name, noise

    def score(self, features: Features) -> tuple[Float, Float]:
        """(n,) scores and confidences."""
        score, confidence = self.inner.score(features)
        n = len(score)
        if self.noise == 0 or n < 2:
            return score, confidence
        drawn = _drawn(features.values)
        chosen = np.flatnonzero(drawn < self.noise)
        mixed = score.copy()
        mixed[chosen] = score[np.argsort(drawn, kind="stable")][chosen]
        return mixed, confidence


class OtherLibraryScorer:
    """A scorer whose log-odds are moved and squeezed, as by another release of a library underneath it."""

    def __init__(self, inner: Scorer, shift: float, scale: float) -> None:
        self.inner, self.name, self.shift, self.scale = inner, inner.name, shift, scale

    def score(self, features: Features) -> tuple[Float, Float]:
        """(n,) scores and confidences."""
        score, confidence = self.inner.score(features)
        inside = np.clip(score, 1e-9, 1 - 1e-9)
        odds = self.scale * np.log(inside / (1 - inside)) - self.shift
        moved = 1 / (1 + np.exp(-odds))
        return np.where((score <= 0) | (score >= 1), score, moved), confidence


def _drawn(values: Float) -> Float:
    """(n,) numbers in [0, 1) that follow from each row's values."""
    words = np.ascontiguousarray(np.nan_to_num(values)).view(np.uint64)
    with np.errstate(over="ignore"):
        mixed = finalise(words * np.arange(1, 2 * words.shape[1], 2, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
    drawn: Float = (finalise(mixed) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return drawn
