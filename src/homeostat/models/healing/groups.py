"""A group of corrupted rows in a window: a mixture of the reference's law and a law that is learned.

A row of the window comes from the reference's law, or with an unknown share from a second law that is free in the
views where it differs and equal to the reference's in all others. Expectation and maximisation give the share, the
second law, and each row's probability to be of the group. No kind of fault is assumed.
Source: Dempster, Laird and Rubin (1977), Journal of the Royal Statistical Society B 39, 1-38; a mixture with one
known part: Bordes, Delmas and Vandekerkhove (2006), Scandinavian Journal of Statistics 33, 733-752.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from homeostat.models.healing.law import Bins, View
from homeostat.records.arrays import Float

EXCESS = 7.0  # Natural logarithm of the odds against chance, beyond that of looking at every bin of every view.
_STEPS, _STILL = 60, 1e-3  # Of expectation and maximisation; changes of a share below this end it.
_PRIOR_ROWS = 2.0  # Of the reference's law, mixed into the second law so that no bin is empty.
_EMPTY = 0.45  # Quantile of how full the bins are, taken for bins without the group's rows.
_ROUNDS = 3  # Of choosing views and fitting again; a fourth changed nothing on any stream tried.


class Group(NamedTuple):
    """A group of rows.

    views : where its law differs from the reference's
    laws : by view of `views`, the share of each bin in the group
    ratios : by view of `views`, the logarithm of the group's share over the reference's
    share : of the window's rows that are in it
    columns : whose own law differs
    """

    views: list[int]
    laws: list[Float]
    ratios: list[Float]
    share: float
    columns: list[int]

    def belongs(self, bins: Bins) -> Float:
        """(n,) the probability that a row is in the group.

        bins : (n, views) of the law
        """
        odds = np.full(len(bins), np.log(self.share) - np.log1p(-self.share))
        for view, ratio in zip(self.views, self.ratios, strict=True):
            odds += ratio[bins[:, view]]
        return np.asarray(1 / (1 + np.exp(-np.clip(odds, -500, 500))), dtype=np.float64)


def excess(counts: Float, expected: Float) -> Float:
    """The exponent of Chernoff's bound on so many rows in a bin, 0 where there are no more than expected.

    >>> excess(np.array([20.0, 5.0]), np.array([10.0, 10.0])).round(2)
    array([3.86, 0.  ])
    """
    above = np.maximum(counts, expected)
    return np.asarray(above * np.log(above / expected) - (above - expected), dtype=np.float64)


def strangeness(bins: Bins, shares: list[Float], rows: float, known: Group | None = None) -> Float:
    """By view, how far its fullest bin is beyond chance, with the uncertainty of the reference's shares.

    rows : of the reference
    known : a group that is already accounted for
    """
    found = np.zeros(len(shares))
    for place, share in enumerate(shares):
        seen = np.bincount(bins[:, place], minlength=len(share)).astype(np.float64)
        highest = share + 2 * np.sqrt(share / rows)
        if known is not None:
            law = known.laws[known.views.index(place)] if place in known.views else highest
            highest = (1 - known.share) * highest + known.share * law
            highest = highest + 2 * np.sqrt(highest / max(len(bins), 1))
        found[place] = float(excess(seen, len(bins) * highest).max())
    return found


def limit(shares: list[Float]) -> float:
    """From which strangeness on a view is not as the reference lets expect."""
    return EXCESS + float(np.log(sum(len(share) for share in shares)))


def find(bins: Bins, views: list[View], shares: list[Float], rows: float, start: Group | None = None) -> Group | None:
    """The group of corrupted rows in a window; None if the window is as the reference lets expect.

    bins : (n, views)
    start : the group of an earlier window, whose views are tried as well
    """
    strange = strangeness(bins, shares, rows)
    least = limit(shares)
    chosen = _best_of_each_column(strange, views, least)
    if start is not None:
        chosen = sorted({*chosen, *start.views})
    if not chosen:
        return None
    belongs = _first_guess(bins, shares, chosen)
    group: Group | None = None
    for _ in range(_ROUNDS):
        alone = len(chosen) == 1
        group, belongs = _single(bins, shares, chosen[0], rows) if alone else _fitted(bins, shares, chosen, belongs)
        apart = _apart(bins, shares, belongs, rows)
        again = _best_of_each_column(apart, views, least / 2)
        if not again:
            return None
        if again == chosen:
            break
        chosen = again
    assert group is not None
    own = {views[place].column: place for place in range(len(views)) if views[place].weights is None}
    blamed = [column for column, place in own.items() if apart[place] > least / 2]
    if not blamed:
        blamed = [views[int(np.argmax(apart))].column]
    return group._replace(columns=sorted(blamed))


def _best_of_each_column(strange: Float, views: list[View], least: float) -> list[int]:
    """The stranger view of each column that has a strange one."""
    best: dict[int, int] = {}
    for place, view in enumerate(views):
        if strange[place] > least and (view.column not in best or strange[place] > strange[best[view.column]]):
            best[view.column] = place
    return sorted(best.values())


def _spared(seen: Float, share: Float, rows: int) -> float:
    """The share of the rows that are as in the reference: how full its bins are where few others fall into them."""
    full = share * rows >= 10
    if not full.any():
        return 0.9
    # Not the emptiest bin: of 24, chance leaves one far too empty.
    return float(np.clip(np.quantile(seen[full] / share[full], _EMPTY), 0.001, 0.999))


def _first_guess(bins: Bins, shares: list[Float], chosen: list[int]) -> Float:
    """For each row, the largest part of a bin's rows that the reference can't account for."""
    guess = np.full(len(bins), 0.01)
    for place in chosen:
        share = shares[place]
        seen = np.bincount(bins[:, place], minlength=len(share)) / len(bins)
        clean = _spared(seen, share, len(bins))
        surplus = np.clip(1 - clean * share / np.maximum(seen, 1e-12), 0, 0.99)
        guess = np.maximum(guess, surplus[bins[:, place]])
    return np.asarray(guess, dtype=np.float64)


def _single(bins: Bins, shares: list[Float], place: int, rows: float) -> tuple[Group, Float]:
    """The group of least share that one view allows. Its likelihood is flat: larger groups fit as well."""
    share, n = shares[place], len(bins)
    seen = np.bincount(bins[:, place], minlength=len(share)).astype(np.float64)
    clean = _spared(seen / n, share, n)
    expected = n * clean * share
    more = seen - expected
    # Bins that chance fills a little more than expected would add up to a group of their own.
    more[more < 1.5 * np.sqrt(expected * (1 + n / rows))] = 0.0
    law = (more + _PRIOR_ROWS * 0.1 * share) / (more.sum() + _PRIOR_ROWS * 0.1)
    group = Group([place], [law], [np.log(law) - np.log(share)], float(np.clip(more.sum() / n, 1e-6, 1 - 1e-6)), [])
    return group, group.belongs(bins)


def _fitted(bins: Bins, shares: list[Float], chosen: list[int], belongs: Float) -> tuple[Group, Float]:
    """Expectation and maximisation until the share stands still."""
    share = 0.0
    for _ in range(_STEPS):
        laws = []
        for place in chosen:
            law = np.bincount(bins[:, place], weights=belongs, minlength=len(shares[place]))
            laws.append((law + _PRIOR_ROWS * shares[place]) / (law.sum() + _PRIOR_ROWS))
        moved, share = share, float(np.clip(belongs.mean(), 1e-6, 1 - 1e-6))
        ratios = [np.log(law) - np.log(shares[place]) for law, place in zip(laws, chosen, strict=True)]
        group = Group(chosen, laws, ratios, share, [])
        belongs = group.belongs(bins)
        if abs(moved - share) < _STILL * share:
            break
    return group, belongs


def _apart(bins: Bins, shares: list[Float], belongs: Float, rows: float) -> Float:
    """By view, how far the group's law is from the reference's: rows times the divergence, less what chance gives."""
    n = max(float(belongs.sum()), 1e-9)
    found = np.zeros(len(shares))
    for place, share in enumerate(shares):
        law = np.bincount(bins[:, place], weights=belongs, minlength=len(share)) / n
        held = law > 0
        chance = 0.5 * np.count_nonzero(held) * (1 + n / rows)
        found[place] = n * float(np.sum(law[held] * np.log(law[held] / share[held]))) - chance
    return found
