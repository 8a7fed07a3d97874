"""`homeostat anomalies rootcause`."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from homeostat.cli.failures import CommandError
from homeostat.cli.options import Json

_WINDOW = 6  # Rows of METRICS that are explained when no file of a normal period is given.


class _Frame:
    """Values by time, and by node and metric: the mean where a pair has several at one time."""

    def __init__(self, rows: list[tuple[float, str, str, float]]) -> None:
        self.index = sorted({row[0] for row in rows})
        self.columns = sorted({(row[1], row[2]) for row in rows})
        at = {time: place for place, time in enumerate(self.index)}
        of = {key: place for place, key in enumerate(self.columns)}
        sums, counts = np.zeros((len(at), len(of))), np.zeros((len(at), len(of)))
        for time, node, metric, value in rows:
            sums[at[time], of[node, metric]] += value
            counts[at[time], of[node, metric]] += 1
        self._values = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)

    def to_numpy(self) -> Any:
        """The values, (times, columns)."""
        return self._values


def rootcause(
    metrics: Path,
    /,
    *,
    graph: Annotated[Path, Parameter(help="A table with columns caller and callee.")],
    target: Annotated[str | None, Parameter(help="NODE or NODE/METRIC; the most anomalous when absent.")] = None,
    normal: Annotated[Path | None, Parameter(help="METRICS of a normal period; else all but the last 6 times.")] = None,
    json: Json = False,
) -> None:
    """Rank the nodes that may have caused a metric to go wrong, nobody included.

    Parameters
    ----------
    metrics
        .csv or .parquet with columns time, node, metric and value.
    """
    from homeostat.maintain.investigate import rank_causes

    during, before = _rows(metrics), None if normal is None else _rows(normal)
    if before is None:
        times = sorted({row[0] for row in during})
        if len(times) <= _WINDOW:
            raise CommandError(f"{metrics} has {len(times)} times, too few to tell what is usual: give --normal FILE")
        cut = times[-_WINDOW]
        before, during = [row for row in during if row[0] < cut], [row for row in during if row[0] >= cut]
    calls = list(zip(*_columns(graph, ("caller", "callee")), strict=True))
    node, _, metric = (target or "").partition("/")
    wanted = (node, metric or None) if target else None
    ranking = rank_causes(_Frame(before), _Frame(during), calls, wanted)
    found = [{"node": one, "probability": probability} for one, probability in ranking]
    if json:
        print(dumps({"ranking": found}))
        return
    for one, probability in ranking:
        print(f"{probability:6.3f}  {'nobody' if one is None else one}")


def _rows(path: Path) -> list[tuple[float, str, str, float]]:
    from homeostat.adapters.disk.table_files import TableError

    times, nodes, metrics, values = _columns(path, ("time", "node", "metric", "value"))
    if not times:
        raise TableError(f"{path} has no row: no cause can be ranked")
    for row, (time, node, metric) in enumerate(zip(times, nodes, metrics, strict=True)):
        if not np.isfinite(time) or node is None or metric is None:
            raise TableError(f"row {row} of {path} lacks its time, node or metric: fill it in, or leave the row out")
    return list(zip(times, nodes, metrics, (np.nan if one is None else float(one) for one in values), strict=True))


def _columns(path: Path, names: tuple[str, ...]) -> list[list[Any]]:
    """Columns by name: times in order, values as numbers, all others as texts."""
    import pyarrow as pa

    from homeostat.adapters.disk.table_files import TableError, TableFile
    from homeostat.jobs.table_monitor.columns import numbers, texts_of

    table = TableFile(path)
    for name in names:
        if name not in table.names:
            raise TableError(f"{path} has no column {name}, but {', '.join(table.names)}")
    found: list[list[Any]] = [[] for _ in names]
    for batch, _ in table.blocks(list(names)):
        for place, name in enumerate(names):
            column: pa.Array = batch.column(name)
            found[place] += (numbers(column) if name in ("time", "value") else texts_of(column)).tolist()
    return found
