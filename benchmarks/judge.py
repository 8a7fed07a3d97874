"""The judge of experiments: wrong verdicts under continuous looking, samples to a verdict, its hard cases, its speed.

    python -m benchmarks.judge [--runs N] [--effects N] [--json]

Arms are drawn by chance, evenly. A wrong verdict is a PASS or a FAIL at any of the 20,000 rows although both arms are
alike. Samples to a verdict are compared with the fixed size at which a two-sided z-test at .05 has a power of .8.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.random import Generator

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat import compare
from homeostat.stats import betting

ROWS = 20_000
ALPHA = 0.05
Draw = Callable[[Generator, int], np.ndarray]
KINDS: dict[str, Draw] = {
    "Bernoulli(.01)": lambda rng, n: (rng.random(n) < 0.01) * 1.0,
    "Bernoulli(.3)": lambda rng, n: (rng.random(n) < 0.3) * 1.0,
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
}
HARD: dict[str, tuple[list[float], list[float]]] = {
    "six zeros against [0, 1, 2, 1, 0, 0]": ([0] * 6, [0, 1, 2, 1, 0, 0]),
    "ten ones against seven hundreds": ([1] * 10, [100] * 7 + [1] * 3),
    "a control without an error": ([0] * 50, [0] * 45 + [1] * 5),
    "no data": ([], []),
    "treatment silent": ([0, 1, 0], []),
    "control silent": ([], [0, 1, 0]),
    "all the same": ([5.0] * 1000, [5.0] * 1000),
}


def arms(treated: np.ndarray) -> np.ndarray:
    return np.where(treated, "treatment", "control")


def wrong(kind: str, runs: int) -> float:
    """The share of runs without any difference that end in PASS or FAIL."""
    found = 0
    for seed in range(runs):
        rng = np.random.default_rng([1, seed])
        treated, values = rng.random(ROWS) < 0.5, KINDS[kind](rng, ROWS)
        found += compare(arms(treated), values, alpha=ALPHA).verdict.value != "INCONCLUSIVE"
    return found / runs


def fixed_size(control: float, treatment: float) -> float:
    """Samples of both arms together that a z-test for two rates needs, at ALPHA (two-sided) and a power of .8."""
    z = NormalDist().inv_cdf(1 - ALPHA / 2) + NormalDist().inv_cdf(0.8)
    variance = control * (1 - control) + treatment * (1 - treatment)
    return 2 * z * z * variance / (treatment - control) ** 2


def samples(rate: float, effect: float, runs: int) -> float:
    """Mean rows until the verdict, over those of the z-test; the judge's own bound, without the intervals."""
    other = rate * (1 + effect)
    fixed, rows = fixed_size(rate, other), []
    for seed in range(runs):
        rng = np.random.default_rng([2, seed])
        n = int(10 * fixed)
        treated = rng.random(n) < 0.5
        blocks = betting.blocks(treated, (rng.random(n) < np.where(treated, other, rate)) * 1.0)
        ends = betting.found_above(blocks, 0.0, ALPHA / 2), betting.found_below(blocks, 0.0, ALPHA / 2)
        rows.append(min((end + 1 for end in ends if end is not None), default=n))
    return float(np.mean(rows)) / fixed


def hard_cases() -> list[Figure]:
    """1 for each case that is a PASS, or has no reason."""
    figures = []
    for name, (control, treatment) in HARD.items():
        of = ["control"] * len(control) + ["treatment"] * len(treatment)
        found = compare(of, [*control, *treatment], better="lower")
        bad = found.verdict.value == "PASS" or not found.why
        figures.append(Figure("judge", f"PASS: {name}", float(bad), target="<= 0", note=found.why))
    values = np.random.default_rng(0).normal(size=1000)
    of = ["control"] * 1000 + ["treatment"] * 1000
    found = compare(of, np.concatenate([5 + values, 5 + values * 10**0.5]), better="lower")
    bad = found.verdict.value == "PASS" or not any("variance" in warning for warning in found.warnings)
    note = "; ".join(found.warnings)
    figures.append(Figure("judge", "PASS: equal means, ten times the variance", float(bad), target="<= 0", note=note))
    return figures


def milliseconds(kind: str) -> float:
    rng = np.random.default_rng(0)
    of, values = arms(rng.random(ROWS) < 0.5), KINDS[kind](rng, ROWS)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        compare(of, values)
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def measure(runs: int, effects: int) -> list[Figure]:
    """All figures, each beside its target."""
    figures = []
    for kind in KINDS:
        share = wrong(kind, runs)
        figures.append(Figure("judge", f"A/A, wrong verdicts, {kind}", 100 * share, "%", "<= 5", f"{runs:,} runs"))
        print(f"A/A {kind}: {share:.3%}", file=sys.stderr)
    for rate in (0.01, 0.3):
        for effect in (0.2, -0.2):
            ratio = samples(rate, effect, effects)
            name = f"samples to a verdict against the z-test's, rate {rate:g}, effect {effect:+.0%}"
            figures.append(Figure("judge", name, ratio, "times", "<= 1.5", f"{effects:,} runs"))
            print(f"{name}: {ratio:.2f}", file=sys.stderr)
    figures += hard_cases()
    figures += [Figure("judge", f"20,000 values, {kind}", milliseconds(kind), "ms", "<= 50") for kind in KINDS]
    return figures


def main() -> int:
    """Print the table, or with --json the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--effects", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.runs, options.effects)
    print(json.dumps(packed(figures, [])) if options.json else as_text(figures, [], machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
