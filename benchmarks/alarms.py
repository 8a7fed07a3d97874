"""False alarms where nothing is wrong: `python -m benchmarks.alarms [--days 365] [--json]`.

A year of simulated payments of one seed, and the published payments of HOMEOSTAT_DATA in their order, are decided hour
by hour and watched as `homeostat maintain` watches a journal, after four weeks from which monitors learn. Incidents and
signals that make one are counted for each 30 days. The published payments follow one law all along, as the simulation
that they come from says.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, as_text, machine, packed
from homeostat.jobs.drill.deciding import START_NS, Deciding, DrillApp, quiet_traffic
from homeostat.jobs.drill.watching import HOURS, Watching
from homeostat.sim.faults.scene import Form, Frame
from homeostat.sim.faults.traffic import DAY_NS, Traffic, simple
from homeostat.sim.faults.worlds import World, known_of

FILE = "fraud_transactions_2018-04-01_2018-08-21.parquet"
_WARM_DAYS, _PAST_DAYS = 30, 28


def published(path: Path) -> World:
    """The published payments as a world."""

    def world(form: Form, frame: Frame, seed: int) -> Traffic:
        import pyarrow.parquet as pq

        table = pq.read_table(path)
        time_ns = table["TX_DATETIME"].to_numpy().astype("datetime64[ns]").astype(np.int64)
        inside = (time_ns >= frame.begin_ns) & (time_ns < frame.end_ns)
        keys = np.stack([table[name].to_numpy().astype(np.int64) for name in ("CUSTOMER_ID", "TERMINAL_ID")], axis=1)
        label = table["TX_FRAUD"].to_numpy().astype(np.uint8)[inside]
        ids, time_ns = table["TRANSACTION_ID"].to_numpy().astype(np.int64)[inside], time_ns[inside]
        amount = table["TX_AMOUNT"].to_numpy()[inside][:, None]
        return simple(ids, time_ns, keys[inside], amount, label, known_of(form, ids, time_ns, label, seed), ((),))

    return world


def counted(part: str, drill: DrillApp, frame: Frame, seed: int) -> list[Figure]:
    """Incidents and signals for each 30 days of a world in which nothing is wrong, and the cost of watching."""
    traffic = quiet_traffic(drill, frame, seed)
    deciding, watching = Deciding(drill, traffic, frame, seed), Watching(drill)
    deciding.warm()
    incidents, signals, spent = set[str](), dict[str, str](), [0.0, 0.0]
    while deciding.now_ns < frame.end_ns:
        begun = time.process_time()
        hours = [deciding.hour() for _ in range(HOURS)]
        between = time.process_time()
        noticed = watching.take(hours)
        spent[0] += between - begun
        spent[1] += time.process_time() - between
        for seen in noticed:
            if seen.at_ns > frame.start_ns:
                incidents |= {one.id for one in seen.incidents if one.opened_ns > frame.start_ns}
                signals |= {one.id: one.series.key for one in seen.signals if one.still and one.series.alone}
    months, series = frame.days / 30, len(watching.loop.series)
    often = ", ".join(sorted(set(signals.values()))[:4])
    note = f"{frame.days} days, {len(traffic):,} payments, {series} series"
    return [
        Figure(part, "incidents in 30 days", len(incidents) / months, "incidents", "<= 1", note),
        Figure(part, "signals in 30 days", len(signals) / months, "signals", "", often),
        Figure(part, "watching over deciding", spent[1] / max(spent[0], 1e-9), "of processor time"),
    ]  # fmt: skip


def figures(days: int, seed: int) -> list[Figure]:
    """All figures; those of the published payments where the data folder has them."""
    frame = Frame(START_NS, 120, _PAST_DAYS, days)
    found = counted("alarms, simulated", DrillApp("payments"), frame, seed)
    path = Path(os.environ.get("HOMEOSTAT_DATA", "")) / FILE
    if not path.is_file():
        return [*found, Figure("alarms, published", "incidents in 30 days", None, note="HOMEOSTAT_DATA is not set")]
    begin = int(np.datetime64("2018-04-01", "ns").astype(np.int64)) + (_WARM_DAYS + _PAST_DAYS) * DAY_NS
    real = Frame(begin, _WARM_DAYS, _PAST_DAYS, min(days, 143 - _WARM_DAYS - _PAST_DAYS))
    return found + counted("alarms, published", DrillApp("payments", published(path)), real, seed)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365, help="of quiet life after the four weeks")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = figures(options.days, options.seed)
    print(json.dumps(packed(found, [])) if options.json else as_text(found, [], machine()))


if __name__ == "__main__":
    main()
