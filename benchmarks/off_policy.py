"""Off-policy estimates: how often lower bounds hold, and that estimates equal those of a published program.

    python -m benchmarks.off_policy [--runs 500] [--obp PYTHON] [--json]

Worlds have 30 actions and softmax policies. `--obp` names the Python of an environment that has the package obp. The
Open Bandit logs of HOMEOSTAT_DATA have 38 to 69 clicks each, so they show that the arithmetic is right, and no more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat.models.policy_evaluation import Logged, direct, doubly_robust, ips, lower_bound, snips

ACTIONS = 30
WORLDS = {  # How often a reward comes, how sharp the policy that ran is, and how sharp the target is.
    "uniform to sharp": (0.3, 0.0, 3.0),
    "uniform to sharp, rare rewards": (0.02, 0.0, 3.0),
    "good to better": (0.3, 1.0, 2.0),
    "good to bad, wild weights": (0.3, 2.0, -1.0),
    "good to bad, rare rewards": (0.02, 2.0, -1.0),
}
THEIRS = """
import json, sys
import numpy as np
from obp.ope import (DirectMethod, DoublyRobust, InverseProbabilityWeighting,
                     SelfNormalizedInverseProbabilityWeighting)
d = np.load(sys.argv[1])
given = dict(reward=d["reward"], action=d["action"], pscore=d["pscore"], position=np.zeros(len(d["reward"]), int),
             action_dist=d["target"][:, :, None], estimated_rewards_by_reg_model=d["predicted"][:, :, None])
kinds = dict(ips=InverseProbabilityWeighting, snips=SelfNormalizedInverseProbabilityWeighting, direct=DirectMethod,
             doubly_robust=DoublyRobust)
print(json.dumps({name: float(kind().estimate_policy_value(**given)) for name, kind in kinds.items()}))
"""


def world(seed: int, n: int, base: float, ran: float, wanted: float):
    """Logged decisions, the target's and the logging policy's choices, a model's rewards, and the true value."""
    rng = np.random.default_rng([7, seed])
    value = rng.normal(size=(n, 5)) @ rng.normal(size=(5, ACTIONS)) / np.sqrt(5)
    reward = 1 / (1 + np.exp(-(np.log(base / (1 - base)) + value)))
    logging, target = (np.exp(k * value) / np.exp(k * value).sum(axis=1, keepdims=True) for k in (ran, wanted))
    action = (rng.random((n, 1)) > np.cumsum(logging, axis=1)).sum(axis=1).clip(0, ACTIONS - 1)
    rows = np.arange(n)
    seen = (rng.random(n) < reward[rows, action]).astype(float)
    logged = Logged(action, logging[rows, action], seen)
    return logged, target, logging, np.full(target.shape, seen.mean()), float((target * reward).sum(axis=1).mean())


def coverage(name: str, runs: int, n: int = 2_000) -> float:
    """The share of lower bounds at 95 % that are not above the truth."""
    held = 0
    for seed in range(runs):
        logged, target, logging, predicted, truth = world(seed, n, *WORLDS[name])
        held += lower_bound(logged, target, predicted, logging, reward_min=0.0, floor=0.0).value <= truth
    return held / runs


def open_bandit(folder: Path, campaign: str):
    """The uniform policy's log, the choices of Bernoulli Thompson sampling, and a constant model."""
    log = pq.read_table(folder / f"random_{campaign}.parquet")
    prior = json.loads((folder / "bts_prior_beta.json").read_text())[campaign]
    draws = np.random.default_rng(0).beta(prior["alpha"], prior["beta"], (20_000, len(prior["alpha"])))
    ranked = np.argsort(-draws, axis=1)[:, :3]
    shown = np.stack([np.bincount(ranked[:, place], minlength=draws.shape[1]) / len(draws) for place in range(3)])
    click = log["click"].to_numpy().astype(float)
    logged = Logged(log["item_id"].to_numpy().astype(np.int64), log["pscore"].to_numpy(), click)
    target = shown[log["position"].to_numpy() - 1]
    return logged, target, np.full(target.shape, click.mean())


def ours(logged: Logged, target: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {
        "ips": ips(logged, target).value,
        "snips": snips(logged, target).value,
        "direct": direct(logged, target, predicted).value,
        "doubly_robust": doubly_robust(logged, target, predicted).value,
    }


def theirs(python: str, logged: Logged, target: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The same estimates by obp."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.npz"
        np.savez(
            path, reward=logged.reward, action=logged.action, pscore=logged.propensity, target=target,
            predicted=predicted,
        )  # fmt: skip
        ran = subprocess.run([python, "-c", THEIRS, path], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


def furthest(python: str, folder: Path) -> float:
    """The largest relative difference of any estimate on any campaign."""
    worst = 0.0
    for campaign in ("all", "men", "women"):
        given = open_bandit(folder, campaign)
        mine, other = ours(*given), theirs(python, *given)
        worst = max(worst, *(abs(mine[name] - other[name]) / abs(other[name]) for name in mine))
    return worst


def figures_of(runs: int, python: str | None) -> list[Figure]:
    part = "off_policy"
    figures = [Figure(part, f"lower bounds hold: {name}", coverage(name, runs), "", ">= 0.94") for name in WORLDS]
    data = os.environ.get("HOMEOSTAT_DATA")
    difference = None if python is None or data is None else furthest(python, Path(data) / "obd")
    note = "" if difference is not None else "needs --obp and HOMEOSTAT_DATA"
    return [*figures, Figure(part, "Open Bandit, furthest from obp, relative", difference, "", "<= 1e-9", note)]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.off_policy", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--obp", metavar="PYTHON")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = figures_of(options.runs, options.obp)
    print(json.dumps(packed(figures, [])) if options.json else as_text(figures, [], machine()))
    sys.exit(0)


if __name__ == "__main__":
    main()
