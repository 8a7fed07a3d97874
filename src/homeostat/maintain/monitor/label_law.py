"""The law of outcomes that an app's own past teaches: P(positive | risk, features), learned of mature outcomes.

Rows of the last `SLOTS` chunks are remembered, positives and negatives in separate numbers, since positives are rare.
Each row has a weight: how many it stands for. The law is learned of the remembered rows. Its log-odds are then moved by
the logarithm of the ratio of the weights, so that it is that of all outcomes.

Source: King and Zeng (2001), Logistic Regression in Rare Events Data, Political Analysis 9, 137-163.
"""

from __future__ import annotations

import numpy as np

from homeostat.maintain.monitor.figures import Memory, copied, taken
from homeostat.records.arrays import Bytes, Float, Int, State
from homeostat.stats.label_free.boosting import BINS, Settings, Trees, predict
from homeostat.stats.label_free.law import FOLDS, KNOTS, Calibration, FoldModel, Law, calibrate, gain, learn, sigmoid

SLOTS = 28
POSITIVES, NEGATIVES = 40, 80  # Of each chunk at most.
COLUMNS = 16  # Features that the law reads, those that explain most of what the risk does not.
EACH_MIN = 20  # Positives and negatives without which nothing is learned.
_EDGES = 31
_SETTINGS = Settings(depth=3, rate=0.2, rounds=24, curvature_min=2.0)
_INNER, _LEAVES = 2**_SETTINGS.depth - 1, 2**_SETTINGS.depth


class LabelLaw:
    """See the module. `remember` chunks, `learn`, then ask for `probabilities`.

    features : the width of the rows' features
    memory : the rows of each chunk with their risk, label and weight; `slots` chunks that came, `held` rows of each;
        and the law as arrays, with `rounds` -1 before there is one
    """

    def __init__(self, features: int) -> None:
        self._features, each = features, POSITIVES + NEGATIVES
        self.memory: Memory = {
            "features": np.zeros((SLOTS, each, features), np.float32), "about": np.zeros((SLOTS, each, 3)),
            "held": np.zeros(SLOTS, np.int64), "slots": np.zeros(1, np.int64), "rounds": np.full(1, -1, np.int64),
            "columns": np.full(COLUMNS, -1, np.int64), "edges": np.full((COLUMNS, _EDGES), np.nan),
            "knots": np.full((FOLDS, KNOTS), np.nan), "weights": np.zeros((FOLDS, KNOTS + 1)),
            "intercept": np.zeros(FOLDS), "column": np.zeros((FOLDS, _SETTINGS.rounds, _INNER), np.int64),
            "cut": np.zeros((FOLDS, _SETTINGS.rounds, _INNER), np.int64),
            "step": np.zeros((FOLDS, _SETTINGS.rounds, _LEAVES)),
        }  # fmt: skip
        self._law: Law | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a law."""
        return self._law is not None

    def counts(self) -> tuple[int, int]:
        """How many positives and negatives are remembered."""
        label = self._rows()[1][:, 1]
        return int((label == 1.0).sum()), int((label == 0.0).sum())

    def remember(self, features: Float, risk: Float, label: Float) -> None:
        """Take a chunk of mature outcomes in: (n, features), (n,), (n,) 0 or 1."""
        memory = self.memory
        slot = int(memory["slots"][0]) % SLOTS
        parts = []
        for kind, most in ((1.0, POSITIVES), (0.0, NEGATIVES)):
            of = np.flatnonzero(label == kind)
            at = of[_spread(len(of), most)]
            parts.append(
                (at, (np.arange(len(at)) + 0.5) / max(len(at), 1), np.full(len(at), len(of) / max(len(at), 1)))
            )
        at, place, weight = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(place, kind="stable")  # Mixed, so that the folds of neighbours have equal shares of both.
        at, n = at[order], len(at)
        memory["features"][slot], memory["about"][slot] = 0.0, 0.0
        memory["features"][slot, :n] = features[at]
        memory["about"][slot, :n] = np.column_stack([risk[at], label[at], weight[order]])
        memory["held"][slot] = n
        memory["slots"][0] += 1

    def learn(self) -> bool:
        """Learn the law of all that is remembered; False where that is not enough, and the law stays as it was."""
        features, about = self._rows()
        risk, label, weight = about.T
        ones, zeros = int((label == 1.0).sum()), int((label == 0.0).sum())
        if min(ones, zeros) < EACH_MIN:
            return False
        columns, edges = self._chosen(features, risk, label)
        law = learn(risk, _codes(features, columns, edges), label, np.zeros(len(columns), np.bool_), _SETTINGS)
        if law is None:
            return False
        sampled = np.log(ones / weight[label == 1.0].sum()) - np.log(zeros / weight[label == 0.0].sum())
        self._keep(law, columns, edges, float(sampled))
        return True

    def probabilities(self, features: Float, risk: Float) -> Float:
        """(FOLDS + 1, n) P(positive) by the law first, then by each fold's model."""
        assert self._law is not None
        known = self.memory["columns"]
        columns = known[known >= 0]
        codes = _codes(features, columns, self.memory["edges"][: len(columns)])
        margins = [one.calibration.margin(risk) + predict(one.trees, codes) for one in self._law.models]
        return sigmoid(np.stack([np.mean(margins, axis=0), *margins]))

    def _rows(self) -> tuple[Float, Float]:
        """Features and facts of the remembered rows, oldest first."""
        memory = self.memory
        came = int(memory["slots"][0])
        order = [number % SLOTS for number in range(max(0, came - SLOTS), came)]
        parts = [(memory["features"][k, : memory["held"][k]], memory["about"][k, : memory["held"][k]]) for k in order]
        if not parts:
            return np.zeros((0, self._features)), np.zeros((0, 3))
        return np.concatenate([one for one, _ in parts]).astype(np.float64), np.concatenate([one for _, one in parts])

    def _chosen(self, features: Float, risk: Float, label: Float) -> tuple[Int, Float]:
        """The features that the law reads, in their order, and the edges of their bins."""
        varied = np.flatnonzero([len(np.unique(column[np.isfinite(column)])) > 1 for column in features.T])
        edges = np.array([_edges(features[:, k]) for k in varied]).reshape(len(varied), _EDGES)
        if len(varied) > COLUMNS:
            q = sigmoid(calibrate(risk, label).margin(risk))
            gains = [gain(one, label, q) for one in _codes(features, varied, edges)]
            best = np.sort(np.argsort(gains, kind="stable")[-COLUMNS:])
            varied, edges = varied[best], edges[best]
        return varied.astype(np.int64), edges

    def _keep(self, law: Law, columns: Int, edges: Float, sampled: float) -> None:
        """Write a law down, its log-odds less those that came of the choice of rows."""
        memory = self.memory
        memory["columns"][...], memory["edges"][...], memory["knots"][...] = -1, np.nan, np.nan
        memory["columns"][: len(columns)], memory["edges"][: len(columns)] = columns, edges
        memory["rounds"][0] = law.trees
        for k, model in enumerate(law.models):
            calibration, trees, used = model.calibration, model.trees, law.trees
            memory["knots"][k, : len(calibration.knots)] = calibration.knots
            memory["weights"][k, : len(calibration.weights)] = calibration.weights
            memory["intercept"][k] = calibration.intercept - sampled
            memory["column"][k, :used], memory["cut"][k, :used] = trees.column, trees.cut
            memory["step"][k, :used] = trees.step
        self._law = self._read()

    def _read(self) -> Law | None:
        """The law that is written down."""
        memory, used = self.memory, int(self.memory["rounds"][0])
        if used < 0:
            return None
        order = np.tile(np.arange(BINS, dtype=np.uint8), (int((memory["columns"] >= 0).sum()), 1))
        models = []
        for k in range(FOLDS):
            knots = memory["knots"][k][~np.isnan(memory["knots"][k])].copy()
            calibration = Calibration(
                knots, memory["weights"][k, : len(knots) + 1].copy(), float(memory["intercept"][k])
            )
            trees = Trees(*(memory[name][k, :used].copy() for name in ("column", "cut", "step")))
            models.append(FoldModel(calibration, order, trees))
        return Law(tuple(models), np.zeros(0))

    def state(self) -> State:
        """All that it remembers."""
        return copied(self.memory)

    def restore(self, state: State) -> None:
        """Go on from there."""
        taken(self.memory, state)
        self._law = self._read()


def _spread(n: int, most: int) -> Int:
    """At most `most` of n rows, evenly spread."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).astype(np.int64)


def _edges(column: Float) -> Float:
    """The upper ends of bins with equal numbers of rows."""
    known = column[np.isfinite(column)]
    return np.quantile(known, np.arange(1, _EDGES + 1) / (_EDGES + 1))


def _codes(features: Float, columns: Int, edges: Float) -> Bytes:
    """The bins of some features, (columns, n): 0 where there is no value."""
    found = np.empty((len(columns), len(features)), np.uint8)
    for k, column in enumerate(columns.tolist()):
        values = features[:, column]
        found[k] = np.where(np.isnan(values), 0, 1 + np.searchsorted(edges[k], values, "left"))
    return found
