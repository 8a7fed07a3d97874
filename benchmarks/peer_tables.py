"""NannyML and Evidently on the tables of `benchmarks.tables`, each in an environment of its own, without homeostat.

    PYTHON benchmarks/peer_tables.py nannyml FOLDER      # reference.csv and analysis.csv
    PYTHON benchmarks/peer_tables.py evidently FOLDER    # table.csv

Prints one JSON object. `make bench-tables` makes the environments.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

CHUNK = 5_000
FIGURES = {"roc_auc": "auc", "accuracy": "accuracy", "f1": "f1"}


def nannyml(folder: Path) -> dict[str, Any]:
    """Confidence-based estimates of each chunk, with the thresholds and alerts of its own."""
    import pandas as pd
    from nannyml import CBPE

    reference, analysis = (pd.read_csv(folder / f"{part}.csv") for part in ("reference", "analysis"))
    begun = time.process_time()
    estimator = CBPE(
        y_pred_proba="predicted_probability", y_pred="prediction", y_true="employed",
        problem_type="classification_binary", metrics=list(FIGURES), chunk_size=CHUNK,
    )  # fmt: skip
    estimator.fit(reference)
    found = estimator.estimate(analysis.drop(columns="employed")).filter(period="analysis").to_df()
    taken = time.process_time() - begun
    chunks = {
        own: {"value": found[theirs]["value"].tolist(), "alert": found[theirs]["alert"].astype(bool).tolist()}
        for theirs, own in FIGURES.items()
    }
    return {"version": version("nannyml"), "seconds": taken, "chunks": chunks}


def evidently(folder: Path) -> dict[str, Any]:
    """Its preset for drift, on a table against itself. The least of three runs."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    table, taken = pd.read_csv(folder / "table.csv"), []
    for _ in range(3):
        begun = time.process_time()
        Report([DataDriftPreset()]).run(table, table).dict()
        taken.append(time.process_time() - begun)
    return {"version": version("evidently"), "seconds": min(taken)}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    which = {"nannyml": nannyml, "evidently": evidently}[sys.argv[1]]
    print(json.dumps(which(Path(sys.argv[2]))))
