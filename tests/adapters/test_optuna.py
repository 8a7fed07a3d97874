"""Samplers on a made-up objective: those that learn find better values than chance at the same budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from homeostat.adapters.optuna.study import Study
from homeostat.models.tuning.space import chosen_from, ranged

SPACE = [
    ranged("a.rate", 0.5, 0.001, 1.0, log=True), ranged("a.depth", 12, 1, 12, whole=True),
    ranged("a.rows", 0.1, 0.0, 1.0), ranged("a.l2", 0.1, 0.0, 1.0), chosen_from("a.kind", "x", ["y", "z"]),
]  # fmt: skip


def objective(values) -> float:
    off = (SPACE[0].unit(values["a.rate"]) - 0.3) ** 2 + ((values["a.depth"] - 4) / 12) ** 2
    off += (values["a.rows"] - 0.7) ** 2 + (values["a.l2"] - 0.6) ** 2
    return -off - 0.2 * (values["a.kind"] != "y")


def best(folder: Path, sampler: str, seed: int, trials: int = 30) -> float:
    address = str(folder / f"{sampler}-{seed}-{trials}.db")
    study = Study(address, "s", "q", SPACE, sampler=sampler, seed=seed, higher=True, prune=False, budget=trials)
    while (running := study.take()) is not None:
        assert study.complete(running, objective(running.values))
    found = study.trials()
    assert [trial.slot for trial in found] == list(range(trials)) and found[0].values == {
        one.name: one.hand for one in SPACE
    }
    study.close()
    return max(trial.value for trial in found)


@pytest.mark.long
def test_tpe_does_better_than_chance_on_the_same_budget(tmp_path: Path) -> None:
    chance, tpe = (sum(best(tmp_path, sampler, seed) for seed in range(2)) for sampler in ("random", "tpe"))
    assert tpe > chance


def test_cma_es_draws_within_its_ranges_and_gathers_where_values_are_good(tmp_path: Path) -> None:
    found = [best(tmp_path, "cmaes", 0, trials) for trials in (1, 16)]
    assert found[1] > found[0]
