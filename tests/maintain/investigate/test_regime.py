"""Laws that take turns are set apart from one that has changed, and from chance."""

from __future__ import annotations

import numpy as np
import pytest

from homeostat.maintain.investigate.hypotheses.regime import laws_in_turn

USUAL, OTHER = 0.55, 0.9


def days(rng: np.random.Generator, *laws: float, of: int = 25) -> list[tuple[int, int]]:
    """The positives of a day, and those of low risk, under each law."""
    counts = rng.poisson(of, len(laws)) + 1
    return [(int(n), int(rng.binomial(n, law))) for n, law in zip(counts, laws, strict=True)]


@pytest.mark.parametrize(
    ("laws", "turns"),
    [
        ((USUAL,) * 12, 0), ((USUAL,) * 4 + (OTHER,) * 12, 1),
        ((USUAL,) * 3 + (OTHER,) * 6 + (USUAL,) * 4, 2), ((OTHER,) * 6 + (USUAL,) * 4 + (OTHER,) * 6, 2),
        (tuple(np.linspace(USUAL, OTHER, 16)), 1),
    ],
)  # fmt: skip
def test_the_turns_are_those_of_the_law_in_nearly_all_draws(laws: tuple[float, ...], turns: int) -> None:
    rng = np.random.default_rng(4)
    found = [len(laws_in_turn(days(rng, *laws), USUAL)) - 1 for _ in range(200)]
    assert np.mean(np.array(found) == turns) > 0.9 or (turns == 1 and max(found) <= 1)


def test_all_positives_are_counted_once_and_no_day_is_a_law() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        counts = days(rng, *rng.choice([USUAL, OTHER], 14))
        found = laws_in_turn(counts, USUAL)
        assert (sum(n for n, _ in found), sum(k for _, k in found)) == tuple(np.sum(counts, axis=0))
    assert laws_in_turn([], USUAL) == []
