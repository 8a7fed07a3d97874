"""`homeostat compare`."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Literal

from homeostat.cli.options import Json


def compare(
    file: Path,
    /,
    *,
    metric: Literal["mean", "rate"] | None = None,
    better: Literal["higher", "lower"] = "higher",
    alpha: float = 0.05,
    margin: float = 0.0,
    json: Json = False,
) -> None:
    """Judge an experiment: PASS if treatment is not worse than control by more than the margin, FAIL if it is.

    Else INCONCLUSIVE. The verdict holds however often one looks while values arrive.

    Parameters
    ----------
    file
        .csv, .jsonl or .parquet with the columns arm (control or treatment) and value, in order of arrival.
    metric
        rate for values from 0 to 1, mean for any other. Absent: rate if every value is 0 or 1.
    better
        Which values are better.
    alpha
        The probability that a verdict is wrong, at most.
    margin
        How much worse treatment may be, in the unit of the values. With 0, PASS means better.
    """
    from homeostat.adapters.disk.measurement_files import read_measurements
    from homeostat.stats.comparison import compare as judge

    arms, values = read_measurements(file)
    found = judge(arms, values, metric=metric, better=better, alpha=alpha, margin=margin)
    if json:
        print(dumps(found.as_dict(), allow_nan=False))
        return
    from homeostat.cli.comparison_view import print_comparison

    print_comparison(found, arms, values, sys.stdout)
