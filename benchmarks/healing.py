"""Accuracy while rows are corrupted and the concept flips: `python -m benchmarks.healing [--json]`.

The stream is that of `benchmarks.healing_world`. The score is the mean accuracy over the batches of 100 rows after the
shift, all rows counted, logistic regression as the model. Beside `SelfHealing` run four others on the same rows: the
reference's model that is never retrained; DDM (Gama and others, 2004) that retrains on the rows since its warning; a
range check whose rows are set aside, with a challenger that serves if it was better on the latest clean batch; and the
ceiling, which knows the law of clean labels. Nothing was chosen on seeds from 100 on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.healing_world import FORMS, STRONG, WORLDS, Stream
from homeostat import SelfHealing
from homeostat.records.arrays import AnyArray, Float, Int

SHARES = (0.05, 0.2, 0.4)
STRONG_TARGETS = {0.05: ">= 0.946", 0.2: ">= 0.874", 0.4: ">= 0.780"}
FIRST_SEED, ROWS = 100, 100


def model() -> Any:
    """The estimator of the benchmark."""
    return make_pipeline(StandardScaler(), LogisticRegression())


class Never:
    """The reference's model, never retrained."""

    def __init__(self, x: Float, y: Int) -> None:
        self.served = model().fit(x, y)

    def predict(self, x: Float) -> AnyArray:
        return np.asarray(self.served.predict(x))

    def learn(self, x: Float, y: Int) -> None:
        pass


class Ddm(Never):
    """DDM by rows: warning at two, retraining at three standard deviations above the lowest error rate."""

    def __init__(self, x: Float, y: Int) -> None:
        super().__init__(x, y)
        self._begin()

    def _begin(self) -> None:
        self.errors, self.rows, self.lowest = 0, 0, (np.inf, np.inf)
        self.warned: list[tuple[Float, int]] = []

    def learn(self, x: Float, y: Int) -> None:
        for row, label, wrong in zip(x, y.tolist(), self.predict(x) != y, strict=True):
            self.rows, self.errors = self.rows + 1, self.errors + int(wrong)
            rate = self.errors / self.rows
            spread = float(np.sqrt(rate * (1 - rate) / self.rows))
            if self.rows < 30:
                continue
            if rate + spread < sum(self.lowest):
                self.lowest = rate, spread
            if rate + spread > self.lowest[0] + 2 * self.lowest[1]:
                self.warned.append((row, label))
            else:
                self.warned = []
            if rate + spread > self.lowest[0] + 3 * self.lowest[1] and len(self.warned) >= 50:
                rows, labels = np.array([row for row, _ in self.warned]), np.array([label for _, label in self.warned])
                if len(set(labels.tolist())) == 2:
                    self.served = model().fit(rows, labels)
                    self._begin()


class RangeCheck(Never):
    """Rows beyond four standard deviations are set aside; a challenger of the latest 20 batches serves if it wins."""

    def __init__(self, x: Float, y: Int) -> None:
        super().__init__(x, y)
        self.mean, self.spread = x.mean(axis=0), x.std(axis=0)
        self.kept: list[tuple[Float, Int]] = []

    def learn(self, x: Float, y: Int) -> None:
        clean = (np.abs(x - self.mean) < 4 * self.spread).all(axis=1)
        x, y = x[clean], y[clean]
        if self.kept:
            rows, labels = (np.concatenate(part) for part in zip(*self.kept, strict=True))
            if len(set(labels.tolist())) == 2 and len(y):
                challenger = model().fit(rows, labels)
                if np.mean(challenger.predict(x) == y) > np.mean(self.served.predict(x) == y):
                    self.served, self.kept = challenger, self.kept[-20:]
        self.kept = [*self.kept[-19:], (x, y)]


OTHERS: dict[str, Callable[[Float, Int], Any]] = {
    "never retrained": Never,
    "DDM and retrain": Ddm,
    "range check with challenger": RangeCheck,
}
ALL = {"SelfHealing": lambda x, y: SelfHealing(model(), reference=(x, y)), **OTHERS}


def accuracies(stream: Stream, made: Callable[[Float, Int], Any]) -> Float:
    """The accuracy in each batch after the shift of what is made from the reference."""
    reference = slice(0, stream.reference)
    learner = made(stream.x[reference], stream.y[reference])
    found = []
    for rows in stream.batches(ROWS):
        if rows.start >= stream.shift:
            found.append(np.mean(learner.predict(stream.x[rows]) == stream.y[rows]))
        learner.learn(stream.x[rows], stream.y[rows])
    return np.array(found)


def ceiling(stream: Stream) -> float:
    """The accuracy of the law of clean labels after the shift."""
    return float(np.mean(stream.law[stream.shift :] == stream.y[stream.shift :]))


def measured(world: Callable[..., Stream], seeds: range, forms: list[str], names: list[str]) -> Iterator[Figure]:
    """The figures of a world, form by form and share by share."""
    gaps: dict[str, list[float]] = {name: [] for name in names}
    spent, batches = 0.0, 0
    for form in forms:
        for share in SHARES:
            streams = [world(seed, share, form) for seed in seeds]
            highest = float(np.mean([ceiling(stream) for stream in streams]))
            part = f"healing, {form}, {share:.0%} of rows"
            for name in names:
                begun = time.process_time()
                found = [float(accuracies(stream, ALL[name]).mean()) for stream in streams]
                if name == "SelfHealing":
                    spent += time.process_time() - begun
                    batches += sum(len(list(stream.batches(ROWS))) for stream in streams)
                gaps[name] += [highest - float(np.mean(found))] if form not in STRONG else []
                aim = STRONG_TARGETS[share] if form in STRONG and name == "SelfHealing" else ""
                yield Figure(part, name, float(np.mean(found)), "accuracy", aim, f"{len(seeds)} seeds")
            yield Figure(part, "ceiling", highest, "accuracy")
            print(part, file=sys.stderr, flush=True)
    for name, below in gaps.items():
        if below:
            aim = "<= 0.03" if name == "SelfHealing" else ""
            yield Figure("healing, subtle forms", f"{name} below the ceiling", float(np.mean(below)), "accuracy", aim)
    if batches:
        yield Figure(
            "healing", "learning from a batch", 1000 * spent / batches, "ms", "", "processor time, predict too"
        )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="the first seed")
    parser.add_argument("--scale", type=float, default=1.0, help="of the rows; 1 has 40,000 after the shift")
    parser.add_argument("--columns", type=int, default=2, help="corrupted columns")
    parser.add_argument("--world", choices=sorted(WORLDS), default="published")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--only", nargs="+", choices=list(ALL), default=list(ALL))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    world = partial(WORLDS[options.world], columns=options.columns, scale=options.scale)
    seeds = range(options.first, options.first + options.seeds)
    found = list(measured(world, seeds, options.forms, options.only))
    notes = [f"{options.world} world, {options.scale:g} of its rows, {options.columns} columns corrupted"]
    print(json.dumps(packed(found, notes)) if options.json else as_text(found, notes, machine()))


if __name__ == "__main__":
    main()
