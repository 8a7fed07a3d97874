"""Streams with changes whose rows are known, and the learner whose errors are watched.

`sine1`, `mixed` and `circles` follow the generators of the Tornado framework (Pesaranghader, Viktor 2016), oddities
included: classes in equal shares, 10 % of the labels flipped, and a transition of circles that lies at rows 0, 25,000
and 50,000. Published files of the same generators are read from HOMEOSTAT_DATA/drift.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from homeostat.records.compiled import compiled

ROWS = 100_000
WITHIN = {"sine1": 250, "mixed": 250, "circles": 1000}
DRIFTS = {
    "sine1": range(20_000, ROWS, 20_000),
    "mixed": range(20_000, ROWS, 20_000),
    "circles": range(25_000, ROWS, 25_000),
}
CIRCLES = ((0.2, 0.15), (0.4, 0.2), (0.6, 0.25), (0.8, 0.3))  # Where the middle lies on y = .5, and the radius.
PUBLISHED = (101, 102)


class Stream(NamedTuple):
    """(n, features) and (n,) classes of 0 and 1."""

    features: np.ndarray
    label: np.ndarray


class Score(NamedTuple):
    """Changes found in time, the mean rows until then, and all other alarms."""

    hits: float
    delay: float
    false: float


def published(kind: str, seed: int) -> Stream | None:
    """A file of the data folder, None where there is none."""
    path = Path(os.environ.get("HOMEOSTAT_DATA", "/nowhere")) / "drift" / f"{kind}_{seed}.parquet"
    if not path.exists():
        return None
    table = pq.read_table(path)
    names = [name for name in table.column_names if name != "class"]
    features = np.column_stack([np.asarray(table[name], np.float64) for name in names])
    return Stream(np.ascontiguousarray(features), np.asarray(table["class"], np.int64))


def made(kind: str, seed: int) -> Stream:
    """A stream of this seed."""
    rng = np.random.default_rng([11, seed])
    stream = _circles(rng) if kind == "circles" else _flipped(rng, _sine if kind == "sine1" else _mixed)
    noisy = rng.choice(ROWS, ROWS // 10, replace=False)
    stream.label[noisy] = 1 - stream.label[noisy]
    return stream


Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def _even(rng: np.random.Generator, n: int, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    wanted = rng.random(n) < 0.5
    features, label = draw(rng, n)
    while (wrong := label != wanted).any():
        features[wrong], label[wrong] = draw(rng, int(wrong.sum()))
    return features, label.astype(np.int64)


def _sine(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    at = rng.random((n, 2))
    return at, at[:, 1] <= np.sin(at[:, 0])


def _mixed(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    v, w = rng.random((2, n)) < 0.5
    x, y = rng.random((2, n))
    below = y < 0.5 + 0.3 * np.sin(3 * np.pi * x)
    return np.column_stack([v, w, x, y]).astype(np.float64), (below & v) | (below & w) | (v & w)


def _circle(number: int) -> Draw:
    middle, radius = CIRCLES[number]

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        at = rng.random((n, 2))
        return at, (at[:, 0] - middle) ** 2 + (at[:, 1] - 0.5) ** 2 > radius**2

    return draw


def _new(rng: np.random.Generator, width: int) -> np.ndarray:
    return rng.random(width) < 1.0 / (1.0 + np.exp(-4.0 * (np.arange(width) / width - 0.5)))


def _flipped(rng: np.random.Generator, draw: Draw) -> Stream:
    features, label = _even(rng, ROWS, draw)
    other = (np.arange(ROWS) // 20_000) % 2 == 1
    for number, start in enumerate(DRIFTS["sine1"], start=1):
        other[start : start + 50] = _new(rng, 50) == (number % 2 == 1)
    return Stream(features, np.where(other, 1 - label, label))


def _circles(rng: np.random.Generator) -> Stream:
    parts = [_even(rng, ROWS // 4, _circle(number)) for number in range(4)]
    features, label = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    for number in range(3):
        rows = slice(number * 25_000, number * 25_000 + 500)
        new = _new(rng, 500)
        (old_at, old), (new_at, later) = _even(rng, 500, _circle(number)), _even(rng, 500, _circle(number + 1))
        features[rows], label[rows] = np.where(new[:, None], new_at, old_at), np.where(new, later, old)
    return Stream(features, label)


@compiled
def errors_from(features: np.ndarray, label: np.ndarray, start: int, end: int) -> np.ndarray:
    """1 for each wrong prediction of a Gaussian naive Bayes that predicts, then learns; it knows nothing at `start`."""
    width = features.shape[1]
    count, mean, squares = np.zeros(2), np.zeros((2, width)), np.zeros((2, width))
    out = np.zeros(end - start)
    for i in range(start, end):
        likeliest, best = 0, -np.inf
        for k in range(2):
            if count[k] == 0.0:
                continue
            found = np.log(count[k])
            for f in range(width):
                variance = max(1e-9, squares[k, f] / (count[k] - 1.0)) if count[k] > 1.0 else 1e-9
                found -= 0.5 * np.log(variance) + 0.5 * (features[i, f] - mean[k, f]) ** 2 / variance
            if found > best:
                likeliest, best = k, found
        y = label[i]
        out[i - start] = 1.0 if likeliest != y else 0.0
        count[y] += 1.0
        for f in range(width):
            away = features[i, f] - mean[y, f]
            mean[y, f] += away / count[y]
            squares[y, f] += away * (features[i, f] - mean[y, f])
    return out


def alarms_of(stream: Stream, first_alarm: Callable[[np.ndarray], int | None]) -> list[int]:
    """Rows of the alarms, where learner and detector begin again after each.

    first_alarm : the index of the first alarm among some errors
    """
    alarms: list[int] = []
    start, size = 0, 5000
    while start < ROWS:
        end = min(ROWS, start + size)
        found = first_alarm(errors_from(stream.features, stream.label, start, end))
        if found is None:
            size *= 2
            if end == ROWS:
                break
            continue
        alarms.append(start + found)
        start, size = start + found + 1, 5000
    return alarms


def score(kind: str, alarms: list[int]) -> Score:
    """The first alarm within the time of each change counts as found, all others as false."""
    delays = []
    for drift in DRIFTS[kind]:
        in_time = [row for row in alarms if drift <= row < drift + WITHIN[kind]]
        delays += [float(in_time[0] - drift)] if in_time else []
    return Score(len(delays), float(np.mean(delays)) if delays else float("nan"), len(alarms) - len(delays))


def mean_score(scores: list[Score]) -> Score:
    """Means over streams; the delay over those in which anything was found."""
    hits, delay, false = np.array(scores, dtype=np.float64).T
    return Score(float(hits.mean()), float(np.nanmean(delay)), float(false.mean()))
