"""Is the cause named? Rankings of PetShop's and Nezha's faults, and of made-up ones: `python -m benchmarks.ranking`.

The incidents are those of `petshop/` in the folder that HOMEOSTAT_DATA names (Hardt and others, The PetShop Dataset,
CLeaR 2024). Nobody is to blame in windows of five rows of its normal period, ranked against all rows but the last 20
before them.

Nezha's faults are those of `nezha/` there (Yu and others, Nezha, ESEC/FSE 2023). The 30 minutes before a moment are
normal, the six from it on are explained, and no target is given. Times of a call, seen from either side, are the
callee's. The two limits of resources and durations were chosen with this day in view: its figures are not held out.

Made-up services (`benchmarks.ranking_world`) have 10 to 60 nodes; half of them moved since the normal period. No
constant was chosen on seeds from 20,000 on.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.ranking_world import FAULTS, made
from homeostat.maintain.investigate import rank_causes

PUBLISHED = "published .654, .827, .17 to .60"
_FIRST_SEED, _LEARNED, _GAP, _WINDOW = 20_000, 100, 20, 5
Ranks = list[int]


def placed(found: Sequence[tuple[Any, float]], cause: Any) -> int:
    """The place of a cause in a ranking, from 0."""
    return [node for node, _ in found].index(cause)


def accuracies(part: str, ranks: Ranks, note: str, targets: tuple[str, str] = ("", "")) -> list[Figure]:
    """How often the cause is first, and among the first three."""
    shares = [float(np.mean(np.array(ranks) < most)) for most in (1, 3)]
    names = ("cause comes first", "cause among the first three")
    return [Figure(part, n, s, "of cases", t, note) for n, s, t in zip(names, shares, targets, strict=True)]


def wide(rows: Any) -> Any:
    """A long table as a frame with columns (service, metric)."""
    named = rows.assign(
        service=rows.service.astype(str), metric=rows.metric.astype(str) + "_" + rows.statistic.astype(str)
    )
    return named.pivot_table(index="time", columns=["service", "metric"], values="value", observed=True)


def petshop(folder: Path, step: int) -> Iterator[Figure]:
    """The figures of the incidents and of the quiet windows.

    step : rows from one quiet window to the next
    """
    import pandas as pd

    graphs = json.loads((folder / "graph.json").read_text())
    long, issues = (pd.read_parquet(folder / f"{name}_metrics.parquet") for name in ("normal", "issue"))
    normal = {name: wide(long[long.scenario == name]) for name in graphs}
    ranks: dict[bool, Ranks] = {True: [], False: []}
    for issue in json.loads((folder / "issues.json").read_text()):
        symptom, scenario = issue["symptom"], issue["scenario"]
        target = (symptom["service"], f"{symptom['metric']}_{symptom['statistic']}")
        window = wide(issues[issues.issue == issue["issue"]])
        for given in ranks:
            found = rank_causes(normal[scenario], window, graphs[scenario]["calls"], target if given else None)
            ranks[given].append(placed(found, issue["truth"]["root_cause"]))
    yield from accuracies("ranking, PetShop", ranks[True], f"26 incidents, {PUBLISHED}", (">= 0.75", ">= 0.92"))
    entry = [("PetSite", "latency_Average"), ("PetSite", "availability_Average")]
    for name, targets, aim in (("nobody where nothing is wrong", entry, ">= 0.90"), ("nobody, no target", [None], "")):
        quiet = [
            rank_causes(frame[: start - _GAP], frame[start : start + _WINDOW], graphs[scenario]["calls"], target)
            for scenario, frame in normal.items()
            for target in targets
            for start in range(_LEARNED, len(frame) - _WINDOW, step)
        ]
        first = float(np.mean([placed(found, None) == 0 for found in quiet]))
        yield Figure("ranking, PetShop", name, first, "of windows", aim, f"{len(quiet)} windows")
    yield from accuracies("ranking, PetShop, no target", ranks[False], "the most anomalous metric is explained")


def nezha(folder: Path) -> Iterator[Figure]:
    """The figures of the faults of one day, and of quiet moments after the last of them."""
    import pandas as pd

    calls, frame = json.loads((folder / "calls.json").read_text()), _by_service(folder)
    minute = pd.Timedelta("1min")

    def ranked(moment: Any) -> Any:
        at = pd.Timestamp(moment).floor("min")
        before = frame[(frame.index < at) & (frame.index >= at - 30 * minute)]
        return rank_causes(before, frame[(frame.index >= at) & (frame.index < at + 6 * minute)], calls)

    ranks: dict[bool, list[bool]] = {True: [], False: []}
    for fault in json.loads((folder / "faults.json").read_text()):
        of_code = fault["fault"] in ("exception", "return")
        first = ranked(fault["time"])[0][0]
        ranks[of_code].append(first is None if of_code else first == fault["service"])
    last = pd.Timestamp("2022-08-22T08:30Z")
    quiet = [ranked(last + k * 6 * minute)[0][0] is None for k in range(150)]
    part, found = "ranking, Nezha, no target", float(np.sum(ranks[False]))
    yield Figure(part, "cause of a processor or network fault first", found, f"of {len(ranks[False])}", ">= 14")
    yield Figure(part, "nobody for faults of code", float(np.mean(ranks[True])), "of cases", ">= 0.90")
    yield Figure(part, "nobody in quiet moments", float(np.mean(quiet)), "of 150", ">= 0.90")


def _by_service(folder: Path) -> Any:
    """Metrics of one minute each with columns (service, metric); a call's time is the largest over its callers."""
    import pandas as pd

    pods, edges = pd.read_parquet(folder / "pods.parquet"), pd.read_parquet(folder / "edges.parquet")
    columns: dict[tuple[str, str], Any] = {}
    for service, rows in pods.groupby("service", observed=True):
        for metric in (
            "cpu_usage_millicores",
            "memory_usage_mib",
            "pod_server_latency_p90_seconds",
            "pod_workload_ops",
        ):
            columns[str(service), metric] = rows.groupby(rows.time.dt.floor("min"))[metric].first()
    for callee, rows in edges.groupby("callee", observed=True):
        for metric in ("latency_p50_at_caller", "latency_p50_at_callee"):
            columns[str(callee), f"call_{metric}"] = rows.groupby(rows.time.dt.floor("min"))[metric].max()
    return pd.DataFrame(columns)


def made_up(cases: int) -> Iterator[Figure]:
    """The figures of made-up services, and the time that a ranking takes."""
    part = "ranking, made-up services"
    ranks: dict[str, Ranks] = {fault: [] for fault in FAULTS}
    sure: list[tuple[float, bool]] = []
    spent = 0.0
    for seed in range(_FIRST_SEED, _FIRST_SEED + cases):
        case = made(seed, True)
        begun = time.process_time()
        found = rank_causes(case.normal, case.anomalous, case.graph, case.target)
        spent += time.process_time() - begun
        ranks[case.fault].append(placed(found, case.cause))
        sure.append((found[0][1], found[0][0] == case.cause))
    yield from accuracies(part, [rank for fault in FAULTS for rank in ranks[fault]], f"{cases} faults")
    for fault in FAULTS:
        yield accuracies(part, ranks[fault], f"{len(ranks[fault])} faults of {fault}")[0]
    quiet = [made(seed, False) for seed in range(_FIRST_SEED, _FIRST_SEED + cases // 2)]
    first = [placed(rank_causes(one.normal, one.anomalous, one.graph, one.target), None) == 0 for one in quiet]
    yield Figure(
        part, "nobody where nothing is wrong", float(np.mean(first)), "of windows", "", f"{len(quiet)} windows"
    )
    certain = [right for probability, right in sure if probability >= 0.8]
    yield Figure(part, "right at .8 and above", float(np.mean(certain)), "of cases", ">= 0.80", f"{len(certain)} cases")
    yield Figure(part, "a ranking", 1000 * spent / cases, "ms", "", "processor time")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=400, help="faults in made-up services")
    parser.add_argument("--step", type=int, default=5, help="rows from one quiet window to the next")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = Path(os.environ.get("HOMEOSTAT_DATA", "")) / "petshop"
    absent = [Figure("ranking, PetShop", "all of it", None, note="HOMEOSTAT_DATA names no folder with petshop/")]
    found = list(petshop(folder, options.step)) if folder.is_dir() else absent
    services = folder.parent / "nezha"
    found += nezha(services) if services.is_dir() else [Figure("ranking, Nezha", "all of it", None, note="no nezha/")]
    found += made_up(options.cases)
    print(json.dumps(packed(found, [])) if options.json else as_text(found, [], machine()))


if __name__ == "__main__":
    main()
