"""Detection of changes in streams: how soon, at what price in false alarms, and how fast, with river beside it.

    python -m benchmarks.streams [--runs 50] [--seeds 8] [--json]

Errors of a learner on sine1, mixed and circles: those published in HOMEOSTAT_DATA/drift, and as many made here as
--seeds says (`benchmarks.stream_world`). Zeros and ones of a known rate: false alarms in 100,000 rows, and rows until
an alarm after 10,000 rows of rest. One setting for all, which is the default. The oracle knows both rates and the form
of the transition (`benchmarks.stream_oracle`): no detector is sooner at as many false alarms.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable

import numpy as np

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.stream_oracle import oracle
from benchmarks.stream_world import PUBLISHED, Score, Stream, alarms_of, made, mean_score, published, score
from homeostat.stats.detectors.detector import Detector, Kind, detect

PART = "streams"
ROWS, REST = 100_000, 10_000
LIMIT = 85_000.0  # Of the oracle: it then raises about as many false alarms as ours.
TARGETS = {"sine1": (4.0, 34.0, 0.0), "mixed": (4.0, 33.0, 0.4), "circles": (3.0, 156.0, 0.4)}
RATES = {0.2: 65.0, 0.1: 400.0}  # From .05: a CUSUM that knows both rates needs 57 and 297 rows.
NUMBERS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "Cauchy": lambda rng, n: rng.standard_cauchy(n),
    "lognormal": lambda rng, n: rng.lognormal(0.0, 2.0, n),
    "Poisson(3)": lambda rng, n: rng.poisson(3.0, n).astype(np.float64),
    "autocorrelated (.5)": lambda rng, n: _correlated(rng.normal(size=n), 0.5),
    "autocorrelated (.9)": lambda rng, n: _correlated(rng.normal(size=n), 0.9),
}
MOVED: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "mean up by 1 standard deviation": lambda rng, n: rng.normal(1.0, 1.0, n),
    "spread times 2": lambda rng, n: rng.normal(0.0, 2.0, n),
}


def _correlated(noise: np.ndarray, weight: float) -> np.ndarray:
    for i in range(1, len(noise)):
        noise[i] += weight * noise[i - 1]
    return noise


def first_alarm(errors: np.ndarray) -> int | None:
    found = detect(errors, kind="error")
    return found[0].row if found else None


def first_of(make: Callable[[], object]) -> Callable[[np.ndarray], int | None]:
    """The same for a detector of river."""

    def first(errors: np.ndarray) -> int | None:
        detector = make()
        for i, error in enumerate(errors.astype(int).tolist()):
            detector.update(error)  # type: ignore[attr-defined]
            if detector.drift_detected:  # type: ignore[attr-defined]
                return i
        return None

    return first


def scores(kind: str, streams: Iterable[Stream], first: Callable[[np.ndarray], int | None]) -> Score:
    return mean_score([score(kind, alarms_of(stream, first)) for stream in streams])


def drift_figures(kind: str, name: str, found: Score, targets: tuple[float, float, float] | None) -> list[Figure]:
    hits, delay, false = (f">= {targets[0]:g}", f"<= {targets[1]:g}", f"<= {targets[2]:g}") if targets else ("",) * 3
    return [
        Figure(PART, f"{kind}, {name}: changes found", found.hits, "", hits),
        Figure(PART, f"{kind}, {name}: rows until then", found.delay, "rows", delay),
        Figure(PART, f"{kind}, {name}: false alarms", found.false, "", false),
    ]


def drifts(seeds: int) -> tuple[list[Figure], list[str]]:
    """Published streams with targets, made ones and peers without."""
    figures, notes = [], []
    peers = river()
    for kind, targets in TARGETS.items():
        files = [stream for seed in PUBLISHED if (stream := published(kind, seed)) is not None]
        own = [made(kind, seed) for seed in range(seeds)]
        if files:
            figures += drift_figures(kind, "published", scores(kind, files, first_alarm), targets)
        else:
            notes.append(f"{kind}: set HOMEOSTAT_DATA to a folder with drift/ for the published streams")
        figures += drift_figures(kind, f"{seeds} made", scores(kind, own, first_alarm), None)
        if kind != "circles":  # Its changes have a form of their own each.
            knows = oracle(kind, own[:4], LIMIT)
            figures += drift_figures(kind, "an oracle, published", scores(kind, files, knows), None) if files else []
            figures += drift_figures(kind, f"an oracle, {seeds} made", scores(kind, own, knows), None)
        for name, make in peers.items():
            figures += drift_figures(kind, name, scores(kind, files or own[:2], first_of(make)), None)
        say(f"{kind} done")
    if not peers:
        notes.append("river is not installed: no peers")
    return figures, notes


def river() -> dict[str, Callable[[], object]]:
    try:
        from river import drift
        from river.drift import binary
    except ImportError:
        return {}
    return {"river ADWIN": drift.ADWIN, "river HDDM_W": getattr(binary, "HDDM_W", None) or binary.HDDMW}


def rates(runs: int) -> list[Figure]:
    """False alarms and delays on zeros and ones."""
    quiet = [len(detect((rng.random(ROWS) < 0.05) * 1.0, kind="error")) for rng in map(_rng, range(runs))]
    figures = [
        Figure(PART, "rate .05: false alarms in 100,000 rows", float(np.mean(quiet)), "", "<= 1", f"{runs} runs")
    ]
    for rate, target in RATES.items():
        delays = []
        for rng in map(_rng, range(1000, 1000 + runs)):
            errors = np.concatenate([rng.random(REST) < 0.05, rng.random(20_000) < rate]) * 1.0
            delays.append(next((one.row - REST + 1 for one in detect(errors, kind="error") if one.row >= REST), 20_000))
        name = f"rate .05 to {rate:g}: rows until the alarm"
        figures.append(Figure(PART, name, float(np.mean(delays)), "rows", f"<= {target:g}", f"{runs} runs"))
    return figures


def numbers(runs: int) -> list[Figure]:
    """False alarms on numbers that only look as if they changed, and delays on those that do."""
    figures = []
    for name, draw in NUMBERS.items():
        quiet = [len(detect(draw(rng, ROWS), kind="number")) for rng in map(_rng, range(runs))]
        title = f"numbers, {name}: false alarms in 100,000 rows"
        figures.append(Figure(PART, title, float(np.mean(quiet)), "", "<= 1", f"{runs} runs"))
    for name, draw in MOVED.items():
        delays = []
        for rng in map(_rng, range(2000, 2000 + runs)):
            values = np.concatenate([rng.normal(size=REST), draw(rng, 4000)])
            delays.append(next((one.row - REST + 1 for one in detect(values, kind="number") if one.row >= REST), 4000))
        figures.append(Figure(PART, f"numbers, {name}: rows until the alarm", float(np.mean(delays)), "rows"))
    say("numbers done")
    return figures


def speed() -> list[Figure]:
    """Processor time a value, the least of several rounds."""
    figures = []
    kinds: tuple[Kind, ...] = ("error", "number")
    for kind in kinds:
        values = (_rng(0).random(500_000) < 0.05) * 1.0 if kind == "error" else _rng(0).normal(size=500_000)
        few = values[:50_000].tolist()
        batch, alone = [], []
        for _ in range(5):
            detector = Detector(kind)
            begun = time.process_time()
            detector.add_all(values)
            batch.append((time.process_time() - begun) / len(values))
            detector = Detector(kind)
            begun = time.process_time()
            for value in few:
                detector.add(value)
            alone.append((time.process_time() - begun) / len(few))
        figures.append(Figure(PART, f"{kind}: a value in a batch", min(batch) * 1e6, "us", "<= 1"))
        figures.append(Figure(PART, f"{kind}: a value alone", min(alone) * 1e6, "us", "<= 5"))
    for name, make in river().items():
        detector_of = make()
        begun = time.process_time()
        for value in [int(_rng(0).random() < 0.05)] * 20_000:
            detector_of.update(value)  # type: ignore[attr-defined]
        figures.append(Figure(PART, f"{name}: a value", (time.process_time() - begun) / 20_000 * 1e6, "us"))
    return figures


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng([7, seed])


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Print the table, or with --json the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures, notes = drifts(options.seeds)
    figures += [*rates(options.runs), *numbers(min(20, options.runs)), *speed()]
    print(json.dumps(packed(figures, notes)) if options.json else as_text(figures, notes, machine()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
