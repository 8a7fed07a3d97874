"""The output of each benchmark with --json, read into figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from benchmarks.figures import Figure, number, unpacked

QUALITY_TARGETS = {"7": (0.73, 0.31), "60": (0.75, 0.315)}
Reader = Callable[[str, Any, Mapping[str, str]], list[Figure]]


def plain(part: str, found: Any, targets: Mapping[str, str]) -> list[Figure]:
    """One of three forms: packed figures; rows of what was measured, its target and whether it holds; name to number.

    >>> plain("windows", [{"what": "bytes", "measured": 90, "target": 100, "holds": True}], {})[0].target
    '<= 100'
    >>> plain("intake", {"one_event_us": 7.5}, {"one_event_us": "<= 8"})[0].verdict
    'ok'
    """
    if isinstance(found, dict) and "figures" in found:
        return unpacked(found)
    if isinstance(found, list):
        return [_row(part, row) for row in found]
    return [Figure(part, name.replace("_", " "), value, target=targets.get(name, "")) for name, value in _flat(found)]


def _flat(found: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """Names and numbers of a mapping and those within it.

    >>> list(_flat({"noop": {"p50": 80}, "app": "payments"}))
    [('noop_p50', 80.0)]
    """
    for name, value in found.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}_")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{before}{name}", float(value)


def _row(part: str, row: Mapping[str, Any]) -> Figure:
    """Which side is the right one follows from whether the target holds."""
    measured, target = float(row["measured"]), row.get("target")
    if target is None:
        return Figure(part, row["what"], measured)
    above = measured >= target
    return Figure(part, row["what"], measured, target=f"{'>=' if above == row['holds'] else '<='} {target:,}")


def scorers(part: str, found: Any, targets: Mapping[str, str]) -> list[Figure]:
    """Microseconds a row of each scorer, in a batch and alone."""
    figures = []
    for row in found:
        for kind, way in (("batch", "in a batch"), ("one", "alone")):
            target = row[f"target_{kind}_us"]
            note = f"{row[f'{kind}_ratio']:.1f} times the library's speed"
            bound = "" if target is None else f"<= {target:g}"
            figures.append(Figure(part, f"{row['scorer']}, {way}", row[f"{kind}_us"], "us", bound, note))
    return figures


def latency(part: str, found: Any, targets: Mapping[str, str]) -> list[Figure]:
    """One decision in process: every 99th percentile has the target."""
    return [
        Figure(f.part, f.name, f.value, f.unit, "<= 300" if f.name.removesuffix(" us").endswith("p99") else f.target)
        for f in plain(part, found, targets)
    ]


def serving(part: str, found: Any, targets: Mapping[str, str]) -> list[Figure]:
    """Requests from outside, against a route that does nothing."""
    how = f"{found['rate']:g} requests a second, open loop"
    figures = [Figure(part, "POST /v1/decide, p99 against a no-op route", found["ratio_p99"], "times", "<= 2.5", how)]
    for kind, name in (("decide", "POST /v1/decide"), ("noop", "no-op route")):
        figures += [Figure(part, f"{name}, {q}", found[kind][q], "us") for q in ("p50", "p99", "p999")]
    return figures


def quality(part: str, found: Any, targets: Mapping[str, str]) -> list[Figure]:
    """Means over the folds of the fused risk, how far it is ahead of the best scorer, and each other fusion's."""
    figures = []
    for days, folds in found.items():
        mean = {
            name: np.mean([scores[name] for scores in folds.values()], axis=0) for name in next(iter(folds.values()))
        }
        alone = {name: score for name, score in mean.items() if name.startswith("score.")}
        targets_here = QUALITY_TARGETS.get(days, (None, None))
        for column, what, target in ((1, "average precision", targets_here[0]), (2, "CP@100", targets_here[1])):
            value, bound = float(mean["risk"][column]), "" if target is None else f">= {target}"
            figures.append(Figure(part, f"{days} days of training, {what}", value, "", bound, f"{len(folds)} folds"))
            if alone:
                best = max(alone, key=lambda name: alone[name][column])
                lead = value - float(alone[best][column])
                who = f"best: {best.removeprefix('score.')}, {alone[best][column]:.4f}"
                figures.append(
                    Figure(part, f"{days} days, {what} fused beyond the best single scorer", lead, "", "> 0", who)
                )
        figures.append(Figure(part, f"{days} days of training, AUC", float(mean["risk"][0])))
        figures += [
            Figure(
                part, f"{days} days, average precision of the {name.removeprefix('fusion.')} fusion", float(score[1])
            )
            for name, score in sorted(mean.items())
            if name.startswith("fusion.")
        ]
    return figures


def policies(part: str, found: Any, targets: Mapping[str, str]) -> list[Figure]:
    """Each learned policy against the best fixed thresholds, and what exploration cost."""
    figures = []
    table, seeds, per_day = found["policies"], found["seeds"], found["budget_a_day"]
    for name in found["targets"]:
        gap = table[name]["against_best_fixed"]
        low, high = number(gap["low"]), number(gap["high"])
        note = f"mean {number(gap['estimate'])}, 95 % interval [{low}, {high}], {seeds} seeds"
        what = f"{name}: cost beyond the best fixed thresholds', upper end"
        figures.append(Figure(part, what, gap["high"], "", "< 0", note))
        if "harm" in table[name]:
            harm, charged = table[name]["harm"]["high"] / found["budget"], table[name]["charged_in_a_day_max"] / per_day
            figures += [
                Figure(part, f"{name}: exploration's harm, upper end, of its budget", harm, "", "<= 1"),
                Figure(part, f"{name}: most charged in a day, of its budget", charged, "", "<= 1"),
            ]
    figures.append(Figure(part, "training PPO", found["ppo_training_s"], "s"))
    return figures


READERS: dict[str, Reader] = {
    "scorers": scorers,
    "latency": latency,
    "serving": serving,
    "quality": quality,
    "policies": policies,
}


def figures_of(part: str, found: Any, targets: Mapping[str, str]) -> list[Figure]:
    """The figures of one benchmark's JSON; `targets` for those that don't print their own."""
    return READERS.get(part, plain)(part, found, targets)
