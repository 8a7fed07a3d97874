"""homeostat against peers on the same work: the 15 published features of payments, and models of the same kinds.

    python -m benchmarks.peers [--rows N] [--events 400] [--river 4000] [--bundle FOLDER] [--json]

1. A stack built the ordinary way (`benchmarks.peer_stack`), per event, against homeostat's whole replay.
2. River (`benchmarks.peer_river`), per event, against the same replay.
3. pandas (`benchmarks.peer_pandas`), in batch, against homeostat's windows alone.

The replay does more than the peers: it has the shipped app's features, some forty more, it journals, audits and writes
its decisions. Every peer warms up first; what the stack and pandas compute is compared with homeostat's features.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import peer_pandas, peer_river, peer_stack
from benchmarks.figures import Figure, as_text, machine, packed
from benchmarks.replay import replay_once, say
from benchmarks.transactions import COLUMNS, events_of, published_features, the_bundle, transactions
from homeostat.decide.windows.featurizer import WindowFeaturizer
from homeostat.records.events import EventBatch
from homeostat.records.features import Features

CHUNK = 65_536
DAY_NS = 86_400 * 10**9
KEPT_NS = (30 + 7 + 1) * DAY_NS
AGREE = 1e-9
PART = "peers"
REPEATS = 3  # Of what takes a second, around what takes ten.


def published(events: EventBatch) -> tuple[float, float, Features]:
    """Seconds, the same in processor time, and the 15 features of all events, in batches as in a replay."""
    plan = published_features()
    warm = WindowFeaturizer(plan)
    warm.features(events.slice(0, min(2000, len(events))))
    featurizer, parts = WindowFeaturizer(plan), []
    begun, begun_cpu = time.perf_counter(), time.process_time()
    for first in range(0, len(events), CHUNK):
        parts.append(featurizer.features(events.slice(first, min(first + CHUNK, len(events)))))
    taken, taken_cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
    values = np.concatenate([part.values for part in parts])
    return taken, taken_cpu, Features(plan.names, values, np.zeros(values.shape, np.uint8))


def differs(ours: Features, rows: np.ndarray | slice, theirs: np.ndarray, names: tuple[str, ...]) -> float:
    """The largest difference, relative where numbers are large. Raises AssertionError if a peer did other work."""
    mine = ours.values[rows][:, [ours.names.index(name) for name in names]]
    mine = np.where(np.isnan(mine), 0.0, mine)  # A mean or share of nothing is 0 for the peers.
    worst = float(np.max(np.abs(mine - theirs) / (1.0 + np.abs(mine))))
    assert worst <= AGREE, f"the features differ by {worst}: not the same work"
    return worst


def against_pandas(table: pa.Table, events: EventBatch) -> tuple[list[Figure], Features]:
    """Windows in batch: homeostat's, several times before and after pandas'."""
    frame = peer_pandas.frame_of(table)
    peer_pandas.pandas_features(frame.head(2000))
    say("peers: homeostat's windows, then pandas'")
    runs = [published(events)[:2] for _ in range(REPEATS)]
    begun, begun_cpu = time.perf_counter(), time.process_time()
    theirs = peer_pandas.pandas_features(frame)
    taken, taken_cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
    runs += [published(events)[:2] for _ in range(REPEATS)]
    own, own_cpu = (median(column) for column in zip(*runs, strict=True))
    _, _, ours = published(events)
    names = tuple(theirs.columns)
    worst = differs(ours, slice(None), theirs.to_numpy(), names)
    say("peers: pandas, entity by entity")
    begun = time.perf_counter()
    singly = peer_pandas.entity_by_entity(frame)
    singly_s = time.perf_counter() - begun
    differs(ours, slice(None), singly.to_numpy(), tuple(singly.columns))
    return [
        Figure(PART, "windows against pandas", taken / own, "times", ">= 10", f"features differ by {worst:.0e}"),
        Figure(PART, "the same in processor time", taken_cpu / own_cpu, "times"),
        Figure(PART, "windows against pandas entity by entity, as its users do", singly_s / own, "times"),
        Figure(PART, "pandas", len(table) / taken, "events/s"),
        Figure(PART, "pandas, entity by entity", len(table) / singly_s, "events/s"),
        Figure(PART, "homeostat's windows, 15 features", len(table) / own, "events/s"),
    ], ours


def past_of(events: EventBatch, rows: np.ndarray) -> np.ndarray:
    """The rows before `rows` that its entities' windows may still hold."""
    before = np.arange(rows[0])
    recent = before[events.time_ns[: rows[0]] > events.time_ns[rows[0]] - KEPT_NS]
    concerned = np.isin(events.keys[recent, 0], events.keys[rows, 0]) | np.isin(
        events.keys[recent, 1], events.keys[rows, 1]
    )
    return recent[concerned]


def against_stack(events: EventBatch, ours: Features, count: int, folder: Path) -> tuple[float, float]:
    """The ordinary stack's decisions a second, and how far its features differ from homeostat's."""
    rows = np.arange(max(0, len(events) - count), len(events))
    warm = peer_stack.payments_of(events, rows[: max(1, count // 10)])
    columns = [ours.names.index(name) for name in peer_stack.NAMES]
    learn = slice(max(0, rows[0] - peer_stack.TRAINED_ROWS), max(rows[0], 1))
    x = np.nan_to_num(ours.values[learn][:, columns])
    y = events.label[learn].astype(int)
    y[:2] = (0, 1)  # A small sample may lack one of the classes.
    models = peer_stack.Models(x, y)
    with peer_stack.running_redis(folder) as client:
        peer_stack.fill(client, peer_stack.payments_of(events, past_of(events, rows)))
        for payment in warm:
            models.decide(peer_stack.windows(client, payment))
        for payment in warm:  # The measured run begins without having seen its own events.
            client.zrem(f"customer:{payment.customer}", f"{payment.id}:{payment.amount}")
            client.zrem(f"terminal:{payment.terminal}", f"{payment.id}:{payment.fraud}")
        rate, served = peer_stack.decisions_per_second(client, models, peer_stack.payments_of(events, rows))
    return rate, differs(ours, rows, served, peer_stack.NAMES)


def river_events(events: EventBatch, count: int) -> list[peer_stack.Payment]:
    """About `count` events over the whole time: those of a few customers, so that labels have time to become known."""
    customers = np.unique(events.keys[:, 0])
    share = max(1, round(len(customers) * count / len(events)))
    rows = np.flatnonzero(np.isin(events.keys[:, 0], customers[:share]))
    return peer_stack.payments_of(events, rows)


def missing() -> list[str]:
    """The packages that are not installed here, a line each."""
    lines = []
    for module, whose in (("pandas", "pandas"), ("river", "River")):
        if find_spec(module) is None:
            lines.append(f"peers: without {whose}, it is not installed")
    needed = ("redis", "sklearn", "torch", "xgboost", "stable_baselines3")
    absent = [module for module in needed if find_spec(module) is None]
    if absent:
        lines.append(f"peers: without the ordinary stack, it needs {', '.join(absent)}")
    elif peer_stack.redis_server() is None:
        lines.append("peers: without the ordinary stack, there is no redis-server on the PATH")
    return lines


def measure(rows: int | None, count: int, river: int, bundle: Path | None) -> tuple[list[Figure], list[str]]:
    """The figures, and what could not be measured."""
    notes, figures = missing(), []
    left_out = " ".join(notes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = transactions(folder, rows)
        notes.append(f"peers: {data.said}")
        table = pq.read_table(data.path, columns=list(COLUMNS))
        events = events_of(table)
        if "pandas" in left_out:
            _, _, ours = published(events)
        else:
            figures, ours = against_pandas(table, events)
        if the_bundle(bundle) is None:
            return figures, [*notes, "peers: without those per event, the payments app has no bundle: make bundle"]
        say("peers: homeostat's replay")
        replay_once(data.path, bundle)
        rates = [data.rows / replay_once(data.path, bundle)[0]]
        peers = []
        if "ordinary stack" not in left_out:
            say(f"peers: the ordinary stack, {count} events")
            rate, worst = against_stack(events, ours, count, folder)
            peers.append(("a stack built the ordinary way", rate, ">= 1,000", f"features differ by {worst:.0e}"))
        if "River" not in left_out:
            chosen = river_events(events, river)
            say(f"peers: River, {len(chosen)} events")
            peers.append(("River", peer_river.decisions_per_second(chosen, len(chosen) // 10), ">= 20", ""))
        rates.append(data.rows / replay_once(data.path, bundle)[0])
    own = median(rates)
    for who, rate, target, note in peers:
        figures += [
            Figure(PART, f"replay against {who}", own / rate, "times", target, note),
            Figure(PART, who, rate, "decisions/s"),
        ]
    return [*figures, Figure(PART, "homeostat's replay", own, "decisions/s")], notes


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, help="only the file's first rows")
    parser.add_argument("--events", type=int, default=400, help="for the ordinary stack")
    parser.add_argument("--river", type=int, default=4_000, help="about as many events for River")
    parser.add_argument("--bundle", type=Path, help="instead of the shipped one")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    figures, notes = measure(chosen.rows, chosen.events, chosen.river, chosen.bundle)
    print(json.dumps(packed(figures, notes)) if chosen.json else as_text(figures, notes, machine()))


if __name__ == "__main__":
    main()
