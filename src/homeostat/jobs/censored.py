"""Events whose outcome could never be seen, because of what was done with them.

A blocked payment is never reported as a fraud, so its silence does not say that all was well. Learned from as a
negative, a model's own successes would teach it the opposite.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from homeostat.adapters.disk.event_lines import EventFileError
from homeostat.config.tree import App
from homeostat.records.arrays import Mask
from homeostat.records.events import EventBatch
from homeostat.records.identity import Coding, Ids, rows_in

_COLUMNS = ["event_id", "action"]


class Censored:
    """Finds the events that were decided with one of the app's censoring actions.

    ids : of those events
    """

    def __init__(self, ids: Ids) -> None:
        self._ids = ids[np.argsort(ids.code, kind="stable")]

    def among(self, events: EventBatch) -> Mask:
        """(n,) whether the outcome of an event could not be seen."""
        return rows_in(self._ids, events.ids, ordered=True) >= 0


def read_censored(path: Path, app: App, coding: Coding) -> Censored:
    """The censored events of a decisions file, as `export` and `replay` write it. Raises EventFileError.

    An app that names no `outcomes.censoring` has none.
    """
    try:
        names = pq.read_schema(path).names
        missing = [name for name in _COLUMNS if name not in names]
        if missing:
            raise EventFileError(
                f"{path} has no column {' and '.join(missing)}: give the decisions.parquet of an export or a replay"
            )
        table = pq.read_table(path, columns=_COLUMNS, use_threads=False)
        action, text = table["action"].cast(pa.string()), table["event_id"].cast(pa.string())
        wanted = pa.array(app.outcomes.censoring, pa.string())
        found = pc.filter(text, pc.fill_null(pc.is_in(action, value_set=wanted), False))
    except FileNotFoundError as error:
        raise EventFileError(f"{path} can't be opened: no such file. Check the path.") from error
    except (OSError, pa.ArrowException) as error:
        why = str(error).splitlines()[0]
        raise EventFileError(f"{path} can't be read as a file of decisions ({why}): write it again") from error
    return Censored(coding.ids([one for one in found.to_pylist() if one is not None]))
