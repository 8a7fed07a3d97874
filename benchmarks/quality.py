"""Fraud quality by the published protocol: train, wait for the labels, decide a week; each fusion and each scorer.

    python -m benchmarks.quality [--days 7 60] [--folds 2018-07-25 2018-08-01] [--events FILE] [--json]

Protocol: Le Borgne, Siblini, Lebichot, Bontempi (2022), Reproducible Machine Learning for Credit Card Fraud Detection,
chapters 3 to 5. A fold is named by the first day S of its training week; models learn from [S + 7d - days, S + 7d),
labels are known 7 days later, and [S + 14d, S + 21d) is decided. Cards with a fraud known before a test day are left
out of that day.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from homeostat.config.instants import instant_ns
from homeostat.config.load import load_app
from homeostat.config.tree import App
from homeostat.decide.fusion.ensemble import serve_fusion
from homeostat.jobs.replay import Request, replay_events
from homeostat.models.bundle import load_bundle
from homeostat.records.decisions import Scores
from homeostat.stats.metrics import average_precision, card_precision_at_k, roc_auc

DAY_NS = 86_400 * 10**9
FOLDS = ("2018-07-25", "2018-08-01")
TARGETS = {7: (0.73, 0.31), 60: (0.75, 0.315)}
PEERS_7 = {"random forest, published": (0.870, 0.678, 0.299), "XGBoost, published": (0.871, 0.694, 0.304)}
Score = tuple[float, float, float]


def default_events() -> Path:
    """The benchmark's transactions in the folder that HOMEOSTAT_DATA names."""
    folder = os.environ.get("HOMEOSTAT_DATA")
    if not folder:
        sys.exit(
            "set HOMEOSTAT_DATA to the folder with the fraud_transactions_*.parquet file, or name it with --events"
        )
    return next(Path(folder).glob("fraud_transactions_*.parquet"))


def test_rows(time_ns: np.ndarray, card: np.ndarray, fraud: np.ndarray, start_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the fold's test week that count, and the day of each."""
    day = (time_ns - start_ns) // DAY_NS
    known = set(card[(day >= 0) & (day < 7) & (fraud == 1)].tolist())
    rows = []
    for today in range(14, 21):
        known |= set(card[(day == today - 8) & (fraud == 1)].tolist())
        at = np.flatnonzero(day == today)
        rows.append(at[~np.isin(card[at], list(known))])
    chosen = np.concatenate(rows)
    return chosen, day[chosen]


def fold_scores(events: Path, fold: str, days: int, app: str) -> dict[str, Score]:
    """AUC, average precision and card precision at 100 of the fused risk, of each scorer and of each trained fusion."""
    start_ns = instant_ns(fold)
    table = pq.read_table(events, columns=["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TX_FRAUD"])
    ids, card, fraud = (table[name].to_numpy() for name in ("TRANSACTION_ID", "CUSTOMER_ID", "TX_FRAUD"))
    time_ns = table["TX_DATETIME"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    rows, day = test_rows(time_ns, card, fraud, start_ns)
    with tempfile.TemporaryDirectory() as folder:
        request = Request(
            events, Path(folder), train_from_ns=start_ns + (7 - days) * DAY_NS, train_until_ns=start_ns + 14 * DAY_NS,
            until_ns=start_ns + 21 * DAY_NS,
        )  # fmt: skip
        replay_events(all_fusions(app), request, lambda what, share: None)
        decided = with_fusions(pq.read_table(Path(folder) / "decisions.parquet"), Path(folder) / "bundle")
    names = ["risk", *(name for name in decided.column_names if name.startswith(("score.", "fusion.")))]
    place = dict(zip(decided["event_id"].to_pylist(), range(len(decided))))
    at = np.array([place[str(code)] for code in ids[rows].tolist()])
    label = fraud[rows].astype(np.float64)
    result = {}
    for name in names:
        risk = decided[name].to_numpy()[at]
        result[name] = (
            roc_auc(label, risk), average_precision(label, risk), card_precision_at_k(card[rows], day, label, risk, 100)
        )  # fmt: skip
    return result


def all_fusions(app: str) -> App:
    """The app, which trains an ensemble and its members beside its own fusion."""
    declared = load_app(app)
    fusion = declared.fusion.model_copy(update={"also": ("weighted", "learned", "ensemble")})
    return declared.model_copy(update={"fusion": fusion})


def with_fusions(decided: pa.Table, bundle: Path) -> pa.Table:
    """The decisions, with the risk that each trained fusion makes of the scores that were served."""
    parts = load_bundle(bundle).parts
    for name, part in [(one.kind.removesuffix("_fusion"), one) for key, one in parts.items() if "fusion" in key]:
        columns = [decided[f"score.{scorer}"].to_numpy() for scorer in part.features]
        values = np.ascontiguousarray(np.column_stack(columns).astype(np.float64))
        known = np.isfinite(values).astype(np.float64)
        scores = Scores(part.features, values, known, np.zeros(len(values), np.uint8))
        risk = serve_fusion(part, part.features).fuse(scores).risk
        decided = decided.append_column(f"fusion.{name}", pa.array(risk))
        if name == "ensemble":
            shares = zip(part.settings["members"], part.arrays["shares"].tolist(), strict=True)
            print("ensemble of " + ", ".join(f"{kind} {share:.3f}" for kind, share in shares), file=sys.stderr)
    return decided


def run(events: Path, folds: list[str], days: list[int], app: str) -> dict[str, dict[str, dict[str, Score]]]:
    """Scores by days of training, fold and score."""
    result: dict[str, dict[str, dict[str, Score]]] = {}
    for length in days:
        scores = {}
        for fold in folds:
            print(f"{length} days, fold {fold} ...", file=sys.stderr, flush=True)
            scores[fold] = fold_scores(events, fold, length, app)
        result[str(length)] = scores
    return result


def show(result: dict[str, dict[str, dict[str, Score]]]) -> None:
    """The table, each mean beside its target."""
    for days, scores in result.items():
        target = TARGETS.get(int(days))
        print(
            f"\nfraud, {days} days of training"
            + ("" if target is None else f"; target AP {target[0]}, CP@100 {target[1]}")
        )
        print(f"  {'':28}{'AUC':>8}{'AP':>8}{'CP@100':>8}")
        for fold, by_name in scores.items():
            for name, score in by_name.items():
                print(f"  {fold + ' ' + name:28}" + "".join(f"{value:8.4f}" for value in score))
        for name in next(iter(scores.values())):
            mean = np.mean([by_name[name] for by_name in scores.values()], axis=0)
            print(f"  {'mean ' + name:28}" + "".join(f"{value:8.4f}" for value in mean))
        for name, score in PEERS_7.items() if int(days) == 7 else ():
            print(f"  {name:28}" + "".join(f"{value:8.4f}" for value in score) + "  (mean of four folds)")


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=Path)
    parser.add_argument("--days", type=int, nargs="+", default=[7, 60])
    parser.add_argument("--folds", nargs="+", default=list(FOLDS))
    parser.add_argument("--app", default="payments")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    result = run(chosen.events or default_events(), chosen.folds, chosen.days, chosen.app)
    if chosen.json:
        print(json.dumps(result))
    else:
        show(result)


if __name__ == "__main__":
    main()
