"""Learns which numbers stand for the categories that a model reads; see `stats.categories`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from homeostat.models.training.folds import grouped_folds
from homeostat.models.training_set import TrainingSet
from homeostat.records.arrays import Float, Int
from homeostat.stats.categories import FREQUENCY, ONE_HOT, TARGET, VALUES_MAX, Encoder, Encoding
from homeostat.stats.elementary import logit

ROWS_MIN = 20  # A category of fewer rows says too little: it is one of the others.
ONE_HOT_MAX = 8  # So many columns cost a model little, and it can join them as it likes.
PRIOR_ROWS = 20.0  # Of the base rate, beside a category's own rows: a share of so few rows is mostly chance.
FOLDS = 5


def learned_encodings(
    rows: TrainingSet, names: tuple[str, ...], seed: int, supervised: bool
) -> tuple[dict[str, Encoding], tuple[str, ...], Float]:
    """The encodings of the categories among some features, and what the model is to learn from: columns, (n, columns).

    supervised : whether many categories may be ordered by their outcomes; else by how frequent they are
    A row's own outcome, and those of its group, never have a part in its numbers: these are of the other folds.
    """
    names, x = rows.columns(names)
    categories = [name for name in names if name in rows.categories]
    if not categories:
        return {}, names, x
    texts = {code: text for code, text in rows.texts.items() if code in _codes(x, names, categories)}
    by_text = {text: code for code, text in texts.items()}
    whole: dict[str, Encoding] = {}
    places: dict[str, Int] = {}
    for name in categories:
        column = x[:, names.index(name)]
        values = _frequent(column, texts)
        places[name] = _places(column, [by_text[text] for text in values])
        kind = ONE_HOT if len(values) <= ONE_HOT_MAX else TARGET if supervised and rows.labelled else FREQUENCY
        whole[name] = _encoding(kind, values, places[name], rows.y, float(np.mean(rows.y)))
    sources = np.arange(len(names))
    encoder = Encoder(names, sources, whole, by_text.__getitem__)
    out = encoder.encode(np.ascontiguousarray(x))
    if any(one.kind == TARGET for one in whole.values()):
        # The base rate is that of all rows: a number that all rows share tells none of them its own outcome.
        rate = float(np.mean(rows.y))
        fold = grouped_folds(rows.groups, rows.y, FOLDS, seed)
        for k in range(FOLDS):
            learn, here = fold != k, fold == k
            left = {
                name: _encoding(one.kind, one.values, places[name][learn], rows.y[learn], rate)
                for name, one in whole.items()
            }
            apart = Encoder(names, sources, left, by_text.__getitem__)
            out[here] = apart.encode(np.ascontiguousarray(x[here]))
    return whole, encoder.names, out


def _codes(x: Float, names: tuple[str, ...], categories: list[str]) -> set[float]:
    return {code for name in categories for code in np.unique(x[:, names.index(name)]).tolist()}


def _frequent(column: Float, texts: Mapping[float, str]) -> tuple[str, ...]:
    """The categories of enough rows, the most frequent first; the codes themselves have no part in their order."""
    codes, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    found = [
        (-count, texts[code])
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True)
        if count >= ROWS_MIN and code in texts
    ]
    return tuple(text for _, text in sorted(found)[:VALUES_MAX])


def _places(column: Float, codes: list[float]) -> Int:
    """(n,) which of the codes each row has; their number for another, -1 for none."""
    order = np.argsort(codes)
    known = np.array(codes, np.float64)[order]
    at = np.searchsorted(known, column)
    same = np.zeros(len(column), np.bool_)
    inside = at < len(known)
    same[inside] = known[at[inside]] == column[inside]
    place = np.full(len(column), len(codes), np.int64)
    place[same] = order[at[same]]
    place[np.isnan(column)] = -1
    return place


def _encoding(kind: str, values: tuple[str, ...], places: Int, y: Float, rate: float) -> Encoding:
    """An encoding fitted on some rows."""
    if kind == ONE_HOT:
        return Encoding(kind, values)
    there = places >= 0
    count = np.bincount(places[there], minlength=len(values) + 1).astype(np.float64)
    if kind == FREQUENCY:
        share = count / max(1.0, float(count.sum()))
        return Encoding(kind, values, tuple(share[:-1].tolist()), 0.0)
    positive = np.bincount(places[there], weights=y[there], minlength=len(values) + 1)
    shares = (positive + PRIOR_ROWS * rate) / (count + PRIOR_ROWS)
    log_odds = [float(logit(share)) for share in shares.tolist()]  # Row by row: the same on every machine.
    return Encoding(kind, values, tuple(log_odds[:-1]), log_odds[-1])
